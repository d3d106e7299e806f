// Why one cell is slower or bigger than another: contributions by phase x layer x operation that sum exactly to the difference.
//     const std::optional<Explanation> why = explain(*run.find(a), *run.find(b));
//     for (const Contribution& c : why->contributions) fmt::print("{} {} {}: {}\n", c.phase, c.site, c.operation, c.difference_ns());
// ns a step, bytes at the peak; differences are b - a. The difference explained is that of the timed visits, without a profiler. The spans
// come from profiled visits, so what profiling itself changed is the residual: printed, and flagged above 2 % of the difference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reports/run_folder.h"

namespace stepscope {

struct Contribution {
  std::string phase = {}, site = {}, operation = {};
  double a_ns = 0, b_ns = 0;
  [[nodiscard]] double difference_ns() const { return b_ns - a_ns; }
};

// A step of one cell by where its time goes: the mean over its good profiled visits.
struct StepProfile {
  std::vector<SpanSum> spans = {};
  double step_ns = 0;  // profiled, all of it
  double between_operations_ns = 0;  // step minus spans: launching, waiting, the loop itself
};
[[nodiscard]] std::optional<StepProfile> profile_of(const Cell& cell);  // nothing without a good profiled visit

struct Explanation {
  double difference_ns = 0;  // b - a, timed
  std::vector<Contribution> contributions =
      {};  // largest first, whatever their sign; "between operations" is one of them
  double residual_ns = 0;  // difference - sum of contributions
  bool residual_is_large = false;  // above 2 % of the difference
  bool explains =
      true;  // false: the residual exceeds the difference, so the visits tell of noise and the parts mean nothing
  std::int64_t difference_bytes = 0;  // of the predicted peak
  NamedBytes by_category_bytes = {};  // sums exactly to difference_bytes
};
// Nothing where one of them lacks a time or a profile.
[[nodiscard]] std::optional<Explanation> explain(const Cell& a, const Cell& b);

// Contributions under a coarser key ("recompute linear"), in the order of their size, the small ones as one ("17 smaller"). Sums stay.
struct WaterfallStep {
  std::string name = {};
  double difference_ns = 0;
};
[[nodiscard]] std::vector<WaterfallStep> grouped(const Explanation& explanation, std::size_t at_most);

}  // namespace stepscope
