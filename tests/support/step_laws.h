// Laws of a whole step, over whatever runs it: a CPU, or a card operation by operation or by graphs. All report through GoogleTest.
//     expect_any_split_is_the_same_step(setting, {2, 4});                                    // on this CPU
//     expect_any_split_is_the_same_step(setting, {2, 4}, [](const StepSetting& s) { return run_step_on_card(s, true); });
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/step_run.h"

namespace stepscope::testing {

using RunStep = std::function<StepResult(const StepSetting&)>;

// Of micro-batches: loss, gradients, and logits where they are read, within the table of tolerances of the step in one piece.
void expect_any_split_is_the_same_step(StepSetting setting, std::initializer_list<std::int64_t> splits,
                                       const RunStep& run = run_step_of);
// To the bit; the sets are drawn by the setting's name.
void expect_random_sets_change_nothing(StepSetting setting, int sets, const RunStep& run = run_step_of);
// To the byte. dropped: targets of checkpointing.
void expect_used_as_planned(StepSetting setting, const std::vector<std::string>& dropped, const Machine& machine);

}  // namespace stepscope::testing
