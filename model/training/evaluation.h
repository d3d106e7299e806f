// The loss on data that training never sees.
//     Evaluation evaluation(model, training, recipe, machine, *source);
//     const double loss = evaluation.loss(step.program, executor, 4);      // with the parameters that executor holds now
#pragma once

#include "model/training/data_source.h"
#include "model/training/forward_pass.h"

namespace stepscope {

class Evaluation {
 public:
  // Settings must be resolved, without a custom mask. The source outlives it.
  Evaluation(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
             const Machine& machine, const DataSource& source);

  // Mean over the tokens of the first `batches` validation batches, at most all of them.
  [[nodiscard]] double loss(const Program& trained, const Executor& parameters, std::int64_t batches);

  [[nodiscard]] std::int64_t bytes() const { return pass_.bytes(); }  // that it needs beside the training's

 private:
  const DataSource& source_;
  ForwardPass pass_;
};

}  // namespace stepscope
