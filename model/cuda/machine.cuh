// The card of this process, as a Machine to lower programs to.
//     lower(program, this_card());           // throws Unsupported where there is no card or no driver
#pragma once

#include "model/program/cost.h"

namespace stepscope {

[[nodiscard]] Machine this_card();

}  // namespace stepscope
