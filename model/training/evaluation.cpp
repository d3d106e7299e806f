#include "model/training/evaluation.h"

#include <algorithm>

#include "model/training/trainer.h"

namespace stepscope {

Evaluation::Evaluation(const ModelSettings& model, const TrainingSettings& training, const StepRecipe& recipe,
                       const Machine& machine, const DataSource& source)
    : source_(source),
      pass_(model, {.rows = training.global_batch, .sequence = training.sequence, .micro_steps = recipe.micro_steps},
            recipe, machine) {}

double Evaluation::loss(const Program& trained, const Executor& parameters, std::int64_t batches) {
  pass_.take_parameters(trained, parameters);
  double sum = 0, count = 0;
  Batch batch;
  for (std::int64_t i = 0; i < std::min(batches, source_.validation_batches()); ++i) {
    source_.fill_validation(i, batch);
    write_batch(pass_.program(), pass_.executor(), batch);
    pass_.executor().step(0);
    sum += pass_.executor().control().loss_sum;
    count += pass_.executor().control().token_count;
  }
  return sum / count;
}

}  // namespace stepscope
