// What else the machine did while something was timed, from /proc. Where the system does not tell, nothing is claimed.
//     const DisturbanceMeter meter;   ... timed steps ...   visit.disturbance = meter.read(threads);
#pragma once

#include <cstdint>
#include <optional>

#include "reports/visit.h"

namespace stepscope {

class DisturbanceMeter {
 public:
  DisturbanceMeter();
  [[nodiscard]] Disturbance read(int threads) const;

  struct Sample {  // seconds of processor time since the machine started
    double busy = 0, steal = 0, total = 0;
    double own = 0;  // of this process
    double load_average = 0;  // of the last minute
  };

 private:
  std::optional<Sample> begin_;
};

[[nodiscard]] std::optional<std::int64_t> largest_resident_bytes();  // of this process, so far
[[nodiscard]] std::optional<std::int64_t> resident_bytes();  // now
[[nodiscard]] std::int64_t free_memory_bytes();  // that could be had without swapping; 0 where not told

}  // namespace stepscope
