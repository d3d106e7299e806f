// Cells against cells: ratios, the frontier of time and memory, and what each technique does while everything else is held fixed.
//     const Cell* baseline = baseline_of(run);
//     const std::optional<Interval> ratio = time_ratio(cell, *baseline);   // 0.55: takes 0.55 of the baseline's time for a token
// Times are per token, so that cells of other batch sizes compare; bytes are the whole peak, used where measured, else predicted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reports/names.h"
#include "reports/run_folder.h"

namespace stepscope {

[[nodiscard]] std::int64_t peak_bytes(
    const Record& record);  // on the device; on a CPU also those of its host memory, which is the same
[[nodiscard]] bool has_time(const Record& record);  // verified and timed: may be compared and recommended
[[nodiscard]] double time_per_token(const Record& record);  // ns; of a cell that has a time

// Storage narrower than the arithmetic (widened) costs conversions that a machine with the format does not pay: such times compare
// only within their own precision.
[[nodiscard]] bool comparable(const Record& a, const Record& b);

// Comparable, and held against one reference: they compute the same step of the same model, so one may be had instead of the other.
[[nodiscard]] bool interchangeable(const Record& a, const Record& b);

// The reference cell: the one that others name as the reference of their numerics; else fp32 without techniques; else none.
[[nodiscard]] const Cell* baseline_of(const MeasuredRun& run);

// Time for a token, cell / baseline, paired within rounds. Nothing where one has no time, they share no round, or must not be compared.
[[nodiscard]] std::optional<Interval> time_ratio(const Cell& cell, const Cell& baseline);

// Cells that no other beats in both time and memory, from the smallest to the fastest. Only cells that the baseline may be exchanged for.
[[nodiscard]] std::vector<const Cell*> frontier_of(const MeasuredRun& run, const Cell& baseline);

struct Effect {  // of one value of one axis against the baseline's value, every other axis equal
  const Cell* without = nullptr;
  const Cell* with = nullptr;
  std::string held = {};  // the other axes: "MLP+Attn ×4"
  std::optional<Interval> time = {};  // ratio with / without
  double memory = 1;  // ratio of peak bytes
};

struct TechniqueEffect {
  std::string axis = {}, from = {}, to = {};  // short values
  std::vector<Effect> effects = {};
  std::optional<Interval> time = {};  // the mean effect: averaged over the pairs within each round, then over rounds
  double memory = 1;  // geometric mean over the pairs
  double memory_low = 1, memory_high = 1;
  // Two pairs differ beyond chance and by more than 2 %: the effect depends on what is held. Indices into effects: least and most.
  std::optional<std::pair<std::size_t, std::size_t>> interaction = {};
};
[[nodiscard]] std::vector<TechniqueEffect> techniques_of(const MeasuredRun& run, const Names& names,
                                                         const Cell& baseline);

// Milliseconds of a step paid for a GiB that checkpointing freed, against the cell that is equal but keeps everything. Nothing where
// there is no such cell or no byte was freed.
[[nodiscard]] std::optional<double> price_ms_per_gib(const MeasuredRun& run, const Cell& cell);

}  // namespace stepscope
