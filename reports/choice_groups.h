// A run's choices beside what was measured of them: which group is the recommended cell's, what its cells took against keeping
// everything, and which mix fits a memory size.
//     const std::vector<const ChoiceGroup*> groups = groups_in_order(analysis);    measured_in(analysis, *groups.front())
//     for (const CardFit& fit : card_fits(analysis)) ...
// A predicted time is a roofline's and is not on the scale of measured ones: both are given against keeping everything, and where a
// time of a member that was not measured is wanted, the measured cells of its group set the scale.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reports/sections.h"

namespace stepscope {

struct MeasuredChoice {  // a cell of a group, with a time
  const Cell* cell = nullptr;
  std::string value = {};  // of `checkpointing`, as a frontier row has it
  std::optional<Interval> ratio =
      {};  // of its time to that of keeping everything, within rounds; none: that was not measured
};

// The group of the recommended cell first, or of the reference where nothing is recommended; none in a run without choices.
[[nodiscard]] std::vector<const ChoiceGroup*> groups_in_order(const Analysis& analysis);
[[nodiscard]] std::vector<MeasuredChoice> measured_in(const Analysis& analysis, const ChoiceGroup& group);
[[nodiscard]] std::string precision_of(const Analysis& analysis, const ChoiceGroup& group);
[[nodiscard]] double keeping_everything_ns(const ChoiceGroup& group);  // predicted

[[nodiscard]] std::string choice_label(const std::string& value);  // "MLP+Attn", "budget 54 MiB"
[[nodiscard]] std::string choice_setting(const std::string& value);  // checkpointing = "budget:54MiB"
// "attention in 3 of 4 places, mlp gelu, mlp.norm layer_norm"; what is repeated wherever it stands has no count.
[[nodiscard]] std::string repeated_text(const std::vector<RepeatedPlace>& places);

struct CardFit {  // the fastest mix for one memory size
  std::vector<std::string> cards = {};  // neighbours with the same mix
  std::int64_t memory_bytes = 0, beside_bytes = 0;  // of the smallest of them
  const ChoiceGroup* group = nullptr;  // none: nothing fits
  const FrontierRow* row = nullptr;  // none, with a group: the recommended cell as it was measured
  std::int64_t needs_bytes = 0;  // where nothing fits: the least
  double step_ns = 0;
  bool measured = false;
  [[nodiscard]] std::int64_t margin_bytes() const { return memory_bytes - beside_bytes - needs_bytes; }
};
// From the smallest size to the largest, then this machine; empty in a run without cards in its choices or without a recommended cell.
[[nodiscard]] std::vector<CardFit> card_fits(const Analysis& analysis);

}  // namespace stepscope
