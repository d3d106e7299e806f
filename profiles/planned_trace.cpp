#include "profiles/planned_trace.h"

#include <cmath>

namespace stepscope {

Trace planned_trace(const Program& program, const OperationTimes& times) {
  Trace trace;
  double now_ns = 0;
  const auto run_section = [&](Section section, int micro_step) {
    for (std::size_t i = 0; i < program.operations.size(); ++i) {
      if (program.operations[i].section != section) continue;
      const double end_ns = now_ns + times[i];
      trace.spans.push_back({static_cast<std::int32_t>(i), micro_step, 0, std::llround(now_ns), std::llround(end_ns)});
      now_ns = end_ns;
    }
  };
  run_section(Section::prologue, 0);
  for (int m = 0; m < program.micro_steps; ++m) run_section(Section::micro, m);
  run_section(Section::update, 0);
  trace.steps.push_back({0, std::llround(now_ns)});
  return trace;
}

}  // namespace stepscope
