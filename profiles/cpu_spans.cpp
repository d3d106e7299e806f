#include "profiles/cpu_spans.h"

namespace stepscope {

CpuSpans::CpuSpans(const Program& program, int steps) : origin_(std::chrono::steady_clock::now()) {
  const std::size_t a_step = program.operations.size() * static_cast<std::size_t>(program.micro_steps);
  trace_.spans.reserve(a_step * static_cast<std::size_t>(steps));
  trace_.steps.reserve(static_cast<std::size_t>(steps));
}

std::int64_t CpuSpans::now_ns() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - origin_).count();
}

void CpuSpans::step_begins() {
  if (trace_.steps.empty()) origin_ = std::chrono::steady_clock::now();
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
