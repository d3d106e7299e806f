#include "profiles/cpu_spans.h"

namespace stepscope {

CpuSpans::CpuSpans(const Program& program, const Executor& executor, int steps)
    : executor_(executor), origin_ns_(executor.now_ns()) {
  const std::size_t a_step = program.operations.size() * static_cast<std::size_t>(program.micro_steps);
  trace_.spans.reserve(a_step * static_cast<std::size_t>(steps));
  trace_.steps.reserve(static_cast<std::size_t>(steps));
}

void CpuSpans::step_begins() {
  if (trace_.steps.empty()) origin_ns_ = executor_.now_ns();
  const std::int64_t now = now_ns();
  trace_.steps.push_back({now, now});
}

void CpuSpans::operation_begins(int operation, int micro_step) {
  const auto step = static_cast<std::int32_t>(trace_.steps.size()) - 1;
  trace_.spans.push_back({operation, micro_step, step, now_ns(), 0});
}

void CpuSpans::operation_ends(int, int) { trace_.spans.back().end_ns = now_ns(); }

void CpuSpans::step_ends() { trace_.steps.back().end_ns = now_ns(); }

}  // namespace stepscope
