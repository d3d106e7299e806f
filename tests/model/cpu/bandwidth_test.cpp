#include "model/cpu/bandwidth.h"

#include <gtest/gtest.h>

#include "model/cpu/threads.h"

namespace stepscope {
namespace {

TEST(Bandwidth, every_traffic_and_size_has_a_rate) {
  for (const int count : {1, 2}) {
    Threads threads(count);
    BandwidthProbe probe(threads, 1 << 20);
    for (const auto traffic :
         {BandwidthProbe::Traffic::read, BandwidthProbe::Traffic::copy, BandwidthProbe::Traffic::triad})
      for (const std::int64_t bytes :
           {1 << 12, 1 << 16, 1 << 20, 1 << 24}) {  // the last is more than there is: all of it
        const BandwidthProbe::Rates rates = probe.rates(traffic, bytes, 1e-4);
        EXPECT_GT(rates.together, 1e6) << bytes;
        EXPECT_LT(rates.together, 1e14) << "a sweep was left out by the compiler, " << bytes;
        EXPECT_GE(rates.summed, 0.99 * rates.together) << bytes;
      }
  }
}

TEST(Bandwidth, more_threads_never_have_less_cache) {
  EXPECT_GE(last_cache_bytes(1), 0);
  EXPECT_GE(last_cache_bytes(64), last_cache_bytes(1));
}

}  // namespace
}  // namespace stepscope
