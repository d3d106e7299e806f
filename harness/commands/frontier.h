// stepscope plan --frontier: every trade of bytes against time that checkpointing has.
#pragma once

#include <string>

#include "harness/fit.h"
#include "reports/choices.h"

namespace stepscope {

void print_frontier(const std::string& times_of, const ChoiceGroup& group, const MemoryFit& fit, bool on_card);
void print_frontier_json(const std::string& times_of, const ChoiceGroup& group,
                         const MemoryFit& fit);  // a line a member, dominated ones too

}  // namespace stepscope
