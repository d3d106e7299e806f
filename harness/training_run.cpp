#include "harness/training_run.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "harness/interrupt.h"
#include "harness/matrix.h"
#include "harness/progress.h"
#include "harness/session.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/evaluation.h"
#include "model/training/saved_state.h"
#include "reports/format.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t validation_batches = 8;
constexpr std::string_view header = "step,tokens,loss,learning_rate,validation_loss\n";

// The rows of a loss.csv up to a step, header included; what stands there beyond it was made after the saved state.
std::string rows_up_to(const fs::path& file, std::int64_t step) {
  const std::string text = fs::exists(file) ? read_file(file) : "";
  std::size_t end = 0;
  for (std::int64_t line = 0; line <= step; ++line) {
    const std::size_t newline = text.find('\n', end);
    if (newline == std::string::npos)
      throw UsageError(fmt::format("{}: has {} steps, its saved state {}", file.string(), line - 1, step));
    end = newline + 1;
  }
  if (!text.starts_with(header))
    throw UsageError(fmt::format("{}: its first line is not {}", file.string(), header.substr(0, header.size() - 1)));
  return text.substr(0, end);
}

class TrainingRun {
 public:
  TrainingRun(const TrainingRequest& request, const Say& say)
      : request_(request),
        say_(say),
        session_(*request.cell, request.machine, {.schedule_steps = request.steps, .batch = nullptr}) {
    const Configuration& c = request.cell->configuration;
    if (mask_file_of(c.model).empty())
      evaluation_ = std::make_unique<Evaluation>(c.model, c.training, recipe_of(c), request.machine, session_.source());
  }

  TrainingEnd run() {
    open();
    const std::int64_t tenth = std::max<std::int64_t>(1, request_.steps / 10);
    const std::int64_t save_every = request_.save_every > 0 ? request_.save_every : tenth;
    validate_every_ = request_.validate_every > 0 ? request_.validate_every : tenth;
    first_step_ = step();
    while (step() < request_.steps && !interrupted()) {
      one_step();
      if (step() % save_every == 0) save();
    }
    save();
    end_.step = step();
    end_.interrupted = step() < request_.steps;
    return end_;
  }

 private:
  [[nodiscard]] std::int64_t step() { return session_.executor().control().step; }
  [[nodiscard]] fs::path state_file() const { return request_.out / "state.safetensors"; }
  [[nodiscard]] fs::path loss_file() const { return request_.out / "loss.csv"; }
  [[nodiscard]] std::string configuration() const { return canonical_text(request_.cell->configuration); }

  void open() {
    std::error_code error;
    fs::create_directories(request_.out, error);
    if (error) throw UsageError(fmt::format("--out {}: cannot be made: {}", request_.out.string(), error.message()));
    if (fs::exists(state_file())) {
      const SavedState state = read_saved_state(state_file(), configuration());
      restore(session_.program(), session_.executor(), state, state_file().string());
      rows_ = rows_up_to(loss_file(), state.step);
      say_(fmt::format("going on from step {} of {}", state.step, request_.out.string()));
      return;
    }
    rows_ = header;
    try {
      write_atomically(request_.out / "cell.toml", to_toml(request_.cell->configuration));
    } catch (const MachineError& failed) {
      throw UsageError(fmt::format("--out {}: cannot be written: {}", request_.out.string(), failed.what()));
    }
  }

  void one_step() {
    const StepResult result = session_.trainer().step();
    if (!std::isfinite(result.loss))
      throw MachineError(fmt::format("the loss of step {} is {}: training diverged; the state before stays in {}",
                                     step(), result.loss, state_file().string()));
    end_.loss = result.loss;
    rows_ +=
        fmt::format("{},{},{},{},", step(), step() * session_.tokens_per_step(), result.loss, result.learning_rate);
    if (evaluation_ != nullptr && (step() % validate_every_ == 0 || step() == request_.steps)) {
      end_.validation_loss = evaluation_->loss(session_.program(), session_.executor(), validation_batches);
      rows_ += fmt::format("{}", end_.validation_loss);
      show_progress();
    }
    rows_ += '\n';
  }

  void show_progress() {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    const auto done = static_cast<double>(step() - first_step_);
    const double left = seconds / done * static_cast<double>(request_.steps - step());
    say_(fmt::format("step {}/{} · loss {} · validation {} · {} tokens/s · {} left", step(), request_.steps,
                     format_loss(end_.loss), format_loss(end_.validation_loss),
                     format_count(std::round(done * static_cast<double>(session_.tokens_per_step()) / seconds)),
                     readable_time(left)));
  }

  // Rows first: a state never lies without the rows that led to it.
  void save() {
    write_atomically(loss_file(), rows_);
    write_saved_state(state_file(), state_of(session_.program(), session_.executor(), configuration()));
  }

  using Clock = std::chrono::steady_clock;

  const TrainingRequest& request_;
  const Say& say_;
  Session session_;
  std::unique_ptr<Evaluation> evaluation_;
  std::string rows_;
  std::int64_t validate_every_ = 1, first_step_ = 0;
  Clock::time_point start_ = Clock::now();
  TrainingEnd end_{.step = 0,
                   .loss = std::numeric_limits<double>::quiet_NaN(),
                   .validation_loss = std::numeric_limits<double>::quiet_NaN(),
                   .interrupted = false};
};

}  // namespace

TrainingEnd train(const TrainingRequest& request, const Say& say) { return TrainingRun(request, say).run(); }

}  // namespace stepscope
