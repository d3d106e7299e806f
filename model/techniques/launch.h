// launch: how a card gets its work: as graphs, launched whole, or operation by operation (eager), which shows what launching costs.
// Off: graph. On a CPU nothing is launched, and eager is Unsupported.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique launch_technique;

}  // namespace stepscope
