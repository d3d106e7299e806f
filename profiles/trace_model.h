// What was seen while steps ran: one span an operation, in the order of execution.
//     CpuSpans spans(program);  executor.observe(&spans);  executor.step(lr);  executor.observe(nullptr);
//     for (const Span& s : spans.trace().spans) ...            // program.operations[s.operation] says what it was
#pragma once

#include <cstdint>
#include <vector>

namespace stepscope {

struct Span {
  std::int32_t operation = 0;  // index in the program
  std::int32_t micro_step = 0;
  std::int32_t step = 0;  // of the trace, from 0
  std::int64_t begin_ns = 0;  // since the trace's first step began
  std::int64_t end_ns = 0;
};

struct StepSpan {
  std::int64_t begin_ns = 0, end_ns = 0;
};

struct Trace {
  std::vector<Span> spans;
  std::vector<StepSpan> steps;
};

}  // namespace stepscope
