// The forward pass alone, with parameters that another executor trains: for validation and for samples of text.
//     ForwardPass pass(model, {.rows = 8, .sequence = 128, .micro_steps = 1}, recipe, machine);
//     pass.take_parameters(step.program, executor);
//     pass.executor().step(0);
// Without dropout and without gradients; its states and arena lie beside the training's.
#pragma once

#include <cstdint>
#include <memory>

#include "model/execution/executor.h"
#include "model/training/step_program.h"

namespace stepscope {

struct ForwardShape {
  std::int64_t rows = 1;
  std::int64_t sequence = 0;
  std::int64_t micro_steps = 1;  // that the rows are cut into
};

class ForwardPass {
 public:
  // Settings must be resolved, without a custom mask.
  ForwardPass(ModelSettings model, const ForwardShape& shape, const StepRecipe& recipe, const Machine& machine);

  void take_parameters(const Program& trained, const Executor& from);
  [[nodiscard]] const Program& program() const { return step_.program; }
  [[nodiscard]] Executor& executor() { return *executor_; }
  [[nodiscard]] std::int64_t bytes() const;  // states and arena

 private:
  Step step_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace stepscope
