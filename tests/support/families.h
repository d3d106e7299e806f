// The families of presets, scaled down to a step of a millisecond, and what a step of any of them may differ in. A law runs over
// `every_small_step`; a family that is added to `families` is then in every law.
//     for (const StepSetting& setting : every_small_step()) { SCOPED_TRACE(setting.name); run_step_of(setting); }
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/support/step_run.h"

namespace stepscope::testing {

struct Family {
  const char* name;
  const char* preset;
  void (*change)(ModelSettings&) = [](ModelSettings&) {};  // of its parts, before it is scaled down
};
std::span<const Family> families();

struct Masks {
  const char* name;
  std::vector<std::string> kinds;
};
std::span<const Masks> masks();

inline constexpr const char* precisions[] = {"fp32", "bf16", "fp16"};
inline constexpr const char* attentions[] = {"fused", "materialised"};

// Two layers, 4 rows of 9 tokens, odd sizes, dropout, two threads and two micro-steps. Rows have different lengths where masks hide
// padding. The kinds of parts are those of the family's preset.
StepSetting small_step(const Family& family, const char* precision, const char* attention = "fused",
                       const Masks& mask = masks().front());

// Every family with every precision, every kind of attention and every mask.
std::vector<StepSetting> every_small_step(std::span<const char* const> in = precisions);
// Every family with every precision, attention and masks taken in turn: each pair of kinds is met by several families.
std::vector<StepSetting> small_steps(std::span<const char* const> in = precisions);

}  // namespace stepscope::testing
