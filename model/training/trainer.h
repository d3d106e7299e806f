// The training loop, one step at a time: the batch of the step, its learning rate, the executor.
//     Trainer trainer(step.program, executor, *source, schedule);
//     while (executor.control().step < n) losses.push_back(trainer.step().loss);
// A step whose gradients overflowed leaves parameters, moments, Adam's t and the place in the schedule as they were; its batch and
// its random numbers are used up, so the next step is that of a run whose data never had this batch.
// What happens in step t depends on t and the states alone, so a loop that goes on from a saved state does the same as one never stopped.
#pragma once

#include <cstdint>
#include <string>

#include "model/execution/executor.h"
#include "model/program/program.h"
#include "model/training/data_source.h"
#include "model/training/saved_state.h"
#include "model/training/schedule.h"

namespace stepscope {

// Writes tokens, targets and, where the program reads them, lengths (the whole sequence where the batch has none).
void write_batch(const Program& program, Executor& executor, const Batch& batch);

struct StepResult {
  double loss = 0;  // mean over the targets that count
  double learning_rate = 0;
  double token_count = 0;  // targets that counted
  // Where the program scales its loss:
  double loss_scale = 1;  // that this step ran with
  bool skipped = false;  // its gradients overflowed, it updated nothing
};

// Whether training cannot go on: a loss that is no number, or gradients that overflow with no scale left to lower. A skipped
// step with one left is none: it changed nothing, and the next runs with half the scale.
[[nodiscard]] bool diverged(const StepResult& result);
[[nodiscard]] std::string why_diverged(const StepResult& result, std::int64_t step);  // "the loss of step 7 is nan"

class Trainer {
 public:
  // All of them outlive the trainer.
  Trainer(const Program& program, Executor& executor, const DataSource& source, const Schedule& schedule)
      : program_(program), executor_(executor), source_(source), schedule_(schedule) {}

  StepResult step();  // the one that executor.control().step counts
  void write_next_batch();  // the first half of it: for measuring what follows. Nobody else writes batches.
  [[nodiscard]] double next_learning_rate();

 private:
  void write_batch_of(std::int64_t step);

  const Program& program_;
  Executor& executor_;
  const DataSource& source_;
  Schedule schedule_;
  Batch batch_;
  std::int64_t written_ = -1;  // the step whose batch the executor has, where it takes it ahead
};

// Parameters, moments, counters; restore throws UsageError where the file lacks a state or has another shape.
[[nodiscard]] SavedState state_of(const Program& program, Executor& executor, const std::string& configuration);
void restore(const Program& program, Executor& executor, const SavedState& state, const std::string& file);

}  // namespace stepscope
