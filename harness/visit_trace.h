// What a visit keeps of a trace: time by operation, kernels, and how whole the account is.
//     add_trace(visit, account, program, trace);
#pragma once

#include "model/program/program.h"
#include "profiles/trace_model.h"
#include "reports/visit.h"

namespace stepscope {

void add_trace(Visit& visit, ProfilerAccount& account, const Program& program, const Trace& trace);

}  // namespace stepscope
