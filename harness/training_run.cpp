#include "harness/training_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "harness/interrupt.h"
#include "harness/matrix.h"
#include "harness/planned.h"
#include "harness/progress.h"
#include "harness/run_files.h"
#include "harness/samples.h"
#include "harness/session.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/evaluation.h"
#include "model/training/hf_export.h"
#include "model/training/saved_state.h"
#include "reports/format.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t batches_a_validation = 8;
// With loss scaling a row ends in the scale that the step ran with and the steps skipped so far, itself included.
std::string header_of(bool scales_loss) {
  return fmt::format("step,tokens,loss,learning_rate,validation_loss{}\n",
                     scales_loss ? ",loss_scale,skipped_steps" : "");
}

// The rows of a loss.csv up to a step, header included; what stands there beyond it was made after the saved state.
std::string rows_up_to(const fs::path& file, std::int64_t step, const std::string& header) {
  const std::string text = fs::exists(file) ? read_file(file) : "";
  std::size_t end = 0;
  for (std::int64_t line = 0; line <= step; ++line) {
    const std::size_t newline = text.find('\n', end);
    if (newline == std::string::npos)
      throw UsageError(fmt::format("{}: {}, but its saved state is at step {}", file.string(),
                                   line == 0 ? "is missing or has no rows" : fmt::format("has {} steps", line - 1),
                                   step));
    end = newline + 1;
  }
  if (!text.starts_with(header))
    throw UsageError(fmt::format("{}: its first line is not {}", file.string(), header.substr(0, header.size() - 1)));
  return text.substr(0, end);
}

// A training may go on in other pieces, or with other activations kept: it has the same mathematics. Another accumulation sums in
// another order, so numbers are the same to rounding; checkpointing changes no bit.
const std::set<std::string> may_differ{"techniques.accumulation", "techniques.checkpointing"};

// Everything that decides the numbers: the cell, the bytes of its files, and the schedule's length where it has one.
std::string configuration_text(Configuration configuration) {
  if (configuration.training.schedule != "cosine") configuration.training.steps = 0;
  return canonical_text(configuration) + file_hashes(configuration);
}

class TrainingRun {
 public:
  TrainingRun(const TrainingRequest& request, const Say& say)
      : request_(request),
        say_(say),
        configuration_(configuration_text(request.cell->configuration)),
        scales_loss_(recipe_of(request.cell->configuration).scales_loss),
        header_(header_of(scales_loss_)),
        session_(*request.cell, request.machine,
                 {.schedule_steps = request.steps, .batch = nullptr, .tuning = request.tuning}) {
    const Configuration& c = request.cell->configuration;
    if (request.sampling.count > 0)
      samples_ =
          std::make_unique<Samples>(c, request.machine, request.sampling, request.prompt, request.out / "samples.csv");
    if (mask_file_of(c.model).empty())
      evaluation_ = std::make_unique<Evaluation>(c.model, c.training, recipe_of(c), request.machine, session_.source());
  }

  TrainingEnd run() {
    open();
    const std::int64_t tenth = std::max<std::int64_t>(1, request_.steps / 10);
    const std::int64_t save_every = request_.save_every > 0 ? request_.save_every : tenth;
    validate_every_ = request_.validate_every > 0 ? request_.validate_every : tenth;
    first_step_ = step();
    end_.entropy = session_.source().entropy();
    if (end_.entropy)
      say_(fmt::format("the source's entropy is {} nats a token: no loss stays below it", format_loss(*end_.entropy)));
    while (step() < request_.steps && !interrupted()) {
      one_step();
      if (step() % save_every == 0) save();
    }
    save();
    if (scales_loss_) end_.loss_scale = session_.executor().control().loss_scale;
    end_.skipped_steps = session_.executor().control().skips;
    end_.step = step();
    end_.interrupted = step() < request_.steps;
    if (!end_.interrupted && !request_.export_folder.empty()) {
      export_hf(session_.program(), session_.executor(), request_.cell->configuration.model, request_.export_folder);
      say_(fmt::format("exported to {}", request_.export_folder.string()));
    }
    return end_;
  }

 private:
  [[nodiscard]] std::int64_t step() { return session_.executor().control().step; }
  [[nodiscard]] fs::path state_file() const { return request_.out / "state.safetensors"; }
  [[nodiscard]] fs::path loss_file() const { return request_.out / "loss.csv"; }

  void open() {
    open_out_folder(request_.out, "cell.toml", "training");
    lock_ = FolderLock(request_.out);
    if (fs::exists(state_file())) return resume();
    rows_ = header_;
    write_cell();
    remove_temporaries(request_.out);  // left by a killed process
  }

  void write_cell() const {
    const fs::path cell_file = request_.out / "cell.toml";
    if (const std::string why = what_hinders_writing(cell_file); !why.empty())
      throw UsageError(fmt::format("--out {}: cannot be written: {}", request_.out.string(), why));
    write_atomically(cell_file, to_toml(request_.cell->configuration));
  }

  void resume() {
    const SavedState state = read_saved_state(state_file(), configuration_, may_differ);
    if (state.step > request_.steps)
      throw UsageError(
          fmt::format("--steps {}: {} is at step {} already", request_.steps, request_.out.string(), state.step));
    restore(session_.program(), session_.executor(), state, state_file().string());
    rows_ = rows_up_to(loss_file(), state.step, header_);
    if (samples_ != nullptr) samples_->resume(state.step);
    write_cell();
    remove_temporaries(request_.out);
    say_(fmt::format("going on from step {} of {}", state.step, request_.out.string()));
  }

  void one_step() {
    const StepResult result = session_.trainer().step();
    if (diverged(result))
      throw FailedCheck(fmt::format("{}: training diverged; the last saved state stays in {}",
                                    why_diverged(result, step()), request_.out.string()));
    end_.loss = result.loss;
    rows_ +=
        fmt::format("{},{},{},{},", step(), step() * session_.tokens_per_step(), result.loss, result.learning_rate);
    const bool look = step() % validate_every_ == 0 || step() == request_.steps;
    if (look && evaluation_ != nullptr) {
      end_.validation_loss = evaluation_->loss(session_.program(), session_.executor(), batches_a_validation);
      rows_ += fmt::format("{}", end_.validation_loss);
    }
    if (scales_loss_) rows_ += fmt::format(",{},{}", result.loss_scale, session_.executor().control().skips);
    rows_ += '\n';
    if (look) show_progress();
    if (look && samples_ != nullptr) say_("  " + samples_->write(step(), session_.program(), session_.executor()));
  }

  void show_progress() {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const auto done = static_cast<double>(step() - first_step_);
    const double left = seconds / done * static_cast<double>(request_.steps - step());
    const ControlBlock& control = session_.executor().control();
    const std::string scale =
        scales_loss_ ? fmt::format(" · scale {} · {} skipped", control.loss_scale, control.skips) : "";
    say_(fmt::format("step {}/{} · loss {} · validation {}{} · {} tokens/s · {} left", step(), request_.steps,
                     format_loss(end_.loss), format_loss(end_.validation_loss), scale,
                     format_count(std::round(done * static_cast<double>(session_.tokens_per_step()) / seconds)),
                     readable_time(left)));
  }

  // Rows first: a state never lies without the rows that led to it.
  void save() {
    write_atomically(loss_file(), rows_);
    if (samples_ != nullptr) samples_->save();
    write_saved_state(state_file(), state_of(session_.program(), session_.executor(), configuration_));
  }

  using Clock = std::chrono::steady_clock;

  const TrainingRequest& request_;
  const Say& say_;
  std::string configuration_;
  bool scales_loss_;
  std::string header_;
  FolderLock lock_;
  Session session_;
  std::unique_ptr<Evaluation> evaluation_;
  std::unique_ptr<Samples> samples_;
  std::string rows_;
  std::int64_t validate_every_ = 1, first_step_ = 0;
  Clock::time_point start_ = Clock::now();
  TrainingEnd end_{.step = 0,
                   .loss = std::numeric_limits<double>::quiet_NaN(),
                   .validation_loss = std::numeric_limits<double>::quiet_NaN(),
                   .entropy = {},
                   .interrupted = false};
};

}  // namespace

TrainingEnd train(const TrainingRequest& request, const Say& say) {
  check_weights(request.cell->configuration);
  require_fit(*request.cell, request.machine);
  return TrainingRun(request, say).run();
}

}  // namespace stepscope
