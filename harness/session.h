// A cell loaded on this machine, ready to step: program, plan, executor, data, schedule. What `step`, `train` and a visit share.
//     Session session(cell, machine_on(device, threads), {.schedule_steps = 100});
//     const StepResult result = session.trainer().step();
#pragma once

#include <memory>

#include "harness/cell.h"
#include "model/execution/cuda_executor.h"
#include "model/execution/executor.h"
#include "model/training/batch_file.h"
#include "model/training/step_program.h"
#include "model/training/trainer.h"
#include "profiles/ranges.h"

namespace stepscope {

struct SessionOptions {
  std::int64_t schedule_steps = 1;  // where training.steps is 0
  const BatchFile* batch = nullptr;  // instead of the cell's data
  std::shared_ptr<const MatmulTuning> tuning = {};  // of a card's matmuls (harness/tuning.h)
  bool weights_follow = false;  // the caller writes parameters itself: those of a Hugging Face folder are not read
};

class Session {
 public:
  // Parameters are those of the cell's Hugging Face folder, without one initialised from the seed. Throws UsageError, Unsupported, MachineError.
  Session(const MatrixCell& cell, const Machine& machine, const SessionOptions& options);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] const Configuration& configuration() const { return cell_.configuration; }
  [[nodiscard]] const Step& plan() const { return step_; }
  [[nodiscard]] const Program& program() const { return step_.program; }
  [[nodiscard]] Executor& executor() { return *executor_; }
  [[nodiscard]] const Executor& executor() const { return *executor_; }
  [[nodiscard]] Trainer& trainer() { return *trainer_; }
  // Looks on beside the ranges that a profiler sees; null: nobody else.
  void observe(Observer* observer);
  [[nodiscard]] bool profiler_attached() const { return ranges_->attached(); }
  [[nodiscard]] const DataSource& source() const { return *source_; }
  [[nodiscard]] std::int64_t tokens_per_step() const { return step_.program.global_batch * step_.program.sequence; }
  [[nodiscard]] std::int64_t predicted_peak_bytes() const {
    return state_bytes(step_.program).total() + step_.plan.arena_bytes;
  }
  [[nodiscard]] std::int64_t predicted_host_bytes() const {
    return state_bytes(step_.program).host + step_.plan.host_arena_bytes;
  }

 private:
  void load_mask(const SessionOptions& options);

  const MatrixCell& cell_;
  Step step_;
  std::unique_ptr<DataSource> source_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Ranges> ranges_;
  std::unique_ptr<ObserverPair> with_ranges_;
};

[[nodiscard]] std::unique_ptr<DataSource> data_source_of(const MatrixCell& cell);
// Of a Hugging Face folder, where the model is one: that its files are of the model, before anything is planned. Throws UsageError.
void check_weights(const Configuration& configuration);

// "" where the model has no custom mask.
[[nodiscard]] std::string mask_file_of(const ModelSettings& model);
// Lines "data.text_hash = ..." of the bytes of the files that decide a cell's numbers beside its fields; "" where there are none.
[[nodiscard]] std::string file_hashes(const Configuration& configuration);

}  // namespace stepscope
