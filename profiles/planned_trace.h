// A step that did not run, as a trace: operations one after the other without gaps, each as long as a table says.
//     planned_trace(program, roofline_times(program, card))       // then profiles/perfetto.h writes it
#pragma once

#include "model/program/cost.h"
#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

// One step. Its end is the sum of the times, each boundary rounded to a nanosecond by itself.
[[nodiscard]] Trace planned_trace(const Program& program, const OperationTimes& times);

}  // namespace stepscope
