#include "model/training/trainer.h"

#include <fmt/format.h>

#include <cmath>

#include "model/base/error.h"

namespace stepscope {

namespace {

void write_rows(const Program& program, Executor& executor, const char* name, const std::vector<std::int32_t>& rows) {
  executor.write(program.find_state(name), std::as_bytes(std::span(rows)));
}

std::vector<StateId> saved_states(const Program& program) {
  std::vector<StateId> list = program.states_of(StateKind::parameter);
  const std::vector<StateId> moments = program.states_of(StateKind::moment);
  list.insert(list.end(), moments.begin(), moments.end());
  return list;
}

}  // namespace

void write_batch(const Program& program, Executor& executor, const Batch& batch) {
  write_rows(program, executor, "tokens", batch.tokens);
  write_rows(program, executor, "targets", batch.targets);
  if (program.find_state("lengths").index < 0) return;
  if (!batch.lengths.empty()) return write_rows(program, executor, "lengths", batch.lengths);
  const std::vector<std::int32_t> whole(static_cast<std::size_t>(program.global_batch),
                                        static_cast<std::int32_t>(program.sequence));
  write_rows(program, executor, "lengths", whole);
}

double Trainer::next_learning_rate() { return learning_rate_at(schedule_, executor_.control().updates()); }

void Trainer::write_next_batch() { write_batch_of(executor_.control().step); }

void Trainer::write_batch_of(std::int64_t step) {
  if (written_ == step) return;
  source_.fill(step, batch_);
  write_batch(program_, executor_, batch_);
  if (executor_.works_beside_host()) written_ = step;
}

StepResult Trainer::step() {
  StepResult result{.learning_rate = next_learning_rate()};
  write_next_batch();
  result.loss_scale = executor_.control().loss_scale;
  const std::int64_t next = executor_.control().step + 1;
  executor_.step(result.learning_rate);
  if (executor_.works_beside_host()) write_batch_of(next);  // the machine is at work; what follows waits for it
  const ControlBlock& control = executor_.control();
  result.skipped = control.found_inf != 0;
  result.token_count = control.token_count;
  result.loss = control.loss_sum / control.token_count;
  return result;
}

bool diverged(const StepResult& result) {
  if (result.skipped && result.loss_scale > 1) return false;
  return result.skipped || !std::isfinite(result.loss);
}

std::string why_diverged(const StepResult& result, std::int64_t step) {
  if (!result.skipped) return fmt::format("the loss of step {} is {}", step, result.loss);
  return fmt::format("the gradients of step {} overflow at a loss scale of 1; its loss is {}", step, result.loss);
}

SavedState state_of(const Program& program, Executor& executor, const std::string& configuration) {
  SavedState saved;
  for (const StateId id : saved_states(program)) {
    const State& state = program.state(id);
    NamedTensor tensor{.name = state.name, .dtype = state.type.dtype, .shape = state.type.shape, .bytes = {}};
    tensor.bytes.resize(static_cast<std::size_t>(state.type.size_bytes()));
    executor.read(id, tensor.bytes);
    saved.tensors.push_back(std::move(tensor));
  }
  const ControlBlock& control = executor.control();
  saved.step = control.step;
  saved.updates = control.updates();
  saved.loss_scale = control.loss_scale;
  saved.clean_steps = control.clean_steps;
  saved.seed = control.seed;
  saved.configuration = configuration;
  return saved;
}

void restore(const Program& program, Executor& executor, const SavedState& saved, const std::string& file) {
  const TensorFile tensors{.tensors = saved.tensors, .metadata = {}};
  for (const StateId id : saved_states(program)) {
    const State& state = program.state(id);
    const NamedTensor* tensor = tensors.find(state.name);
    if (tensor == nullptr) throw UsageError(fmt::format("{}: {} is missing", file, state.name));
    if (tensor->dtype != state.type.dtype || tensor->shape != state.type.shape) {
      throw UsageError(fmt::format("{}: {} is {}{}, the model has {}{}", file, state.name, name_of(tensor->dtype),
                                   to_string(tensor->shape), name_of(state.type.dtype), to_string(state.type.shape)));
    }
    executor.write(id, tensor->bytes);
  }
  ControlBlock& control = executor.control();
  control.step = saved.step;
  control.skips = saved.step - saved.updates;
  control.loss_scale = saved.loss_scale;
  control.clean_steps = saved.clean_steps;
  control.seed = saved.seed;
}

}  // namespace stepscope
