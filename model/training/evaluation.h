// The loss on data that training never sees: a program of the forward pass alone, without dropout, in an executor of its own.
//     Evaluation evaluation(model, training, recipe, machine, *source);
//     const double loss = evaluation.loss(step.program, executor, 4);      // with the parameters that executor holds now
#pragma once

#include <memory>

#include "model/execution/cpu_executor.h"
#include "model/training/data_source.h"
#include "model/training/step_program.h"

namespace stepscope {

class Evaluation {
 public:
  // Settings must be resolved, without a custom mask. The source outlives it.
  Evaluation(ModelSettings model, const TrainingSettings& training, const StepRecipe& recipe, const Machine& machine,
             const DataSource& source);

  // Mean over the tokens of the first `batches` validation batches, at most all of them.
  [[nodiscard]] double loss(const Program& trained, const Executor& parameters, std::int64_t batches);

  [[nodiscard]] std::int64_t bytes() const;  // states and arena that it needs beside the training's

 private:
  void copy_parameters(const Program& trained, const Executor& from);

  const DataSource& source_;
  Step step_;
  std::unique_ptr<CpuExecutor> executor_;
};

}  // namespace stepscope
