#include "model/training/logits_reader.h"

namespace stepscope {

LogitsReader::LogitsReader(const Program& program, const Executor& executor) : program_(program), executor_(executor) {
  for (std::size_t i = 0; i < program.operations.size(); ++i)
    for (const ValueId out : program.operations[i].outs)
      if (out == program.logits) producer_ = static_cast<int>(i);
  if (any()) logits_.resize(elements() * static_cast<std::size_t>(program.micro_steps));
}

void LogitsReader::operation_ends(int operation, int micro_step) {
  if (operation != producer_) return;
  const std::span<float> part =
      std::span(logits_).subspan(elements() * static_cast<std::size_t>(micro_step), elements());
  executor_.read(program_.logits, std::as_writable_bytes(part));
}

std::size_t LogitsReader::elements() const {
  return static_cast<std::size_t>(program_.value(program_.logits).type.shape.elements());
}

}  // namespace stepscope
