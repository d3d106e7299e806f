// What a machine was measured to do at most: matmuls by type, bytes by the size of what is gone over. The ceilings of floor, MFU and
// HFU; `stepscope devices --calibrate` writes it to the user's cache, `run` copies it into RUN/calibration.json.
//     const Card ceilings = card_of(read_calibration(run / "calibration.json"));
// Rates are FLOP/s and bytes/s. A ceiling is the best repeat of the fastest way: what slows a repeat down is the machine's other work.
// Reading throws UsageError as record.h does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/program/cost.h"

namespace stepscope {

inline constexpr std::string_view calibration_schema = "stepscope.calibration/1";

struct CalibrationKey {  // what it holds for
  std::string processor = {};
  int threads = 0;
  std::string onednn = {};
  std::string march = {};  // that the inner loops were compiled for
  std::string bf16 = {};  // native | widened
  bool operator==(const CalibrationKey&) const = default;
};

struct Rate {  // of several repeats
  double best = 0, median = 0, worst = 0;
  int repeats = 0;
};
[[nodiscard]] Rate rate_of(std::vector<double> repeats);  // at least one

struct MatmulRate {
  std::string dtype = {};  // fp32 | bf16 | fp16, of the operands
  std::string how = {};  // "forward": as a step's operation does it; "one primitive a thread": without its tiles
  std::int64_t m = 0, n = 0, k = 0;
  Rate flops_per_second = {};
};

struct BandwidthRate {
  std::int64_t bytes = 0;  // of all arrays together
  std::string how = {};  // read | copy | triad, whichever was fastest
  Rate bytes_per_second = {};
};

struct Calibration {
  CalibrationKey key = {};
  std::string time = {};  // when it was made, UTC
  double seconds = 0;  // that it took
  std::vector<MatmulRate> matmuls = {};
  std::vector<BandwidthRate> bandwidths = {};  // ascending in bytes; the last is memory's
};

// Peaks: the best of each type; where bf16 is widened, fp32's where that is more. Levels: no size faster than a smaller one.
[[nodiscard]] Card card_of(const Calibration& calibration);
[[nodiscard]] nlohmann::ordered_json summary_of(
    const Calibration& calibration);  // its ceilings, for environments and --json
[[nodiscard]] double peak_named(const Card& card, std::string_view precision);  // "bf16" -> FLOP/s, 0 = not known

// Most ways were far below their best at the median: other work took the processors, and the best may be low too.
[[nodiscard]] bool was_busy(const Calibration& calibration);

[[nodiscard]] std::string difference(const CalibrationKey& there,
                                     const CalibrationKey& here);  // "" where they are equal

[[nodiscard]] Calibration read_calibration(const std::filesystem::path& file);
void write_calibration(const std::filesystem::path& file, const Calibration& calibration);  // atomically

}  // namespace stepscope
