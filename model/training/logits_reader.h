// Keeps the logits of a step, in batch order, as they pass by: they live in the arena only until their gradient takes their place.
//     LogitsReader logits(step.program, executor);
//     executor.observe(&logits);  executor.step(rate);   logits.all();       // [global_batch, S, V]
// The executor is observed until the reader is told to stop by observe(nullptr): the caller's business.
#pragma once

#include <span>
#include <vector>

#include "model/execution/executor.h"

namespace stepscope {

class LogitsReader final : public Observer {
 public:
  LogitsReader(const Program& program, const Executor& executor);
  void operation_ends(int operation, int micro_step) override;

  [[nodiscard]] bool any() const { return producer_ >= 0; }  // the program has logits
  [[nodiscard]] std::span<const float> all() const { return logits_; }

 private:
  [[nodiscard]] std::size_t elements() const;  // of a micro-step

  const Program& program_;
  const Executor& executor_;
  int producer_ = -1;
  std::vector<float> logits_;
};

}  // namespace stepscope
