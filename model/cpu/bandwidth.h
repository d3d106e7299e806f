// How fast this processor moves bytes: arrays of one size gone over again and again by all threads, each over its own part.
//     BandwidthProbe probe(threads, 256 << 20);
//     probe.rates(BandwidthProbe::Traffic::copy, 8 << 20, 0.005)       // bytes/s, every element read and written counted once
// What fits a cache is served by it, so that the size says which level is measured.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace stepscope {

class Threads;

class BandwidthProbe {
 public:
  enum class Traffic { read, copy, triad };  // sum += a; b = a; c = a + s b

  BandwidthProbe(Threads& threads, std::int64_t largest_bytes);  // of all arrays together
  struct Rates {
    double together = 0;  // all that was moved by the time it took: what a shared memory gives
    double summed =
        0;  // the threads' own rates added up: what their caches give, though one of them is held up meanwhile
  };
  // Over arrays of `bytes` together, for about so many seconds.
  [[nodiscard]] Rates rates(Traffic traffic, std::int64_t bytes, double seconds);

 private:
  void sweep(Traffic traffic, std::int64_t floats_a_thread, std::int64_t sweeps);

  struct Free {
    void operator()(float* memory) const;
  };
  Threads& threads_;
  std::int64_t stride_ = 0;  // floats of a thread's part
  std::vector<double> own_seconds_;  // of the last sweep, by thread
  std::unique_ptr<float[], Free> memory_;
};

// The last cache's bytes, those of all its instances that so many threads can use; 0 where the system does not say.
[[nodiscard]] std::int64_t last_cache_bytes(int threads);

}  // namespace stepscope
