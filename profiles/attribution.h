// Where a step's time went: every span belongs to one phase, one layer and one operation, and what lies between spans is a row
// of its own, so that the rows sum to the step exactly. On a card an operation's time is the sum of its kernels', copies' and sets'; further
// rows between name what else the card did in a step ("step control", "unknown" ...: profiles/device_trace.h) and, below 0, the
// overlap: what was done at the same time is counted once.
//     for (const AttributedTime& row : attribute(program, trace)) ...
// Figures are means over the trace's steps, of one optimizer step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/program/program.h"
#include "model/program/time_model.h"
#include "profiles/trace_model.h"

namespace stepscope {

struct AttributedTime {
  std::string phase;  // prologue, forward, recompute, backward, update; "between" for what no span covers
  std::string site;  // the layer's path; "" between
  std::string operation;  // the kind's name; between: "gaps", on a card the names above
  std::int64_t count = 0;  // runs a step
  double time_ns = 0;
  std::int64_t flops = 0;  // launched, causal attention half
  std::int64_t bytes = 0;  // operands read and written, each once
};

// In the order of first appearance; the row of gaps last.
[[nodiscard]] std::vector<AttributedTime> attribute(const Program& program, const Trace& trace);

// The same time by what was done, wherever in the model: what a time model is learned from. Nothing between.
[[nodiscard]] std::vector<TimedWork> time_by_work(const Program& program, const Trace& trace);

}  // namespace stepscope
