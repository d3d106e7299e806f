// The training loop, one step at a time: the batch of the step, its learning rate, the executor.
//     Trainer trainer(step.program, executor, *source, schedule);
//     while (executor.control().step < n) losses.push_back(trainer.step().loss);
// What happens in step t depends on t and the states alone, so a loop that goes on from a saved state does the same as one never stopped.
#pragma once

#include <cstdint>

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
};

class Trainer {
 public:
  // All of them outlive the trainer.
  Trainer(const Program& program, Executor& executor, const DataSource& source, const Schedule& schedule)
      : program_(program), executor_(executor), source_(source), schedule_(schedule) {}

  StepResult step();  // the one that executor.control().step counts
  void write_next_batch();  // the first half of it: for measuring what follows
  [[nodiscard]] double next_learning_rate();

 private:
  const Program& program_;
  Executor& executor_;
  const DataSource& source_;
  Schedule schedule_;
  Batch batch_;
};

// Parameters, moments, counters; restore throws UsageError where the file lacks a state or has another shape.
[[nodiscard]] SavedState state_of(const Program& program, Executor& executor, const std::string& configuration);
void restore(const Program& program, Executor& executor, const SavedState& state, const std::string& file);

}  // namespace stepscope
