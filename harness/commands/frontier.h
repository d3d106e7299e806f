// stepscope plan --frontier: every trade of bytes against time that checkpointing has.
#pragma once

#include <string>

#include "reports/choices.h"

namespace stepscope {

void print_frontier(const std::string& times_of, const ChoiceGroup& group);
void print_frontier_json(const std::string& times_of, const ChoiceGroup& group);  // a line a member, dominated ones too

}  // namespace stepscope
