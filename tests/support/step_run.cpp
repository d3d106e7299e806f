#include "tests/support/step_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "model/cpu/machine.h"
#include "model/cuda/machine.h"
#include "model/execution/cpu_executor.h"
#include "model/execution/make_executor.h"
#include "model/execution/read_floats.h"
#include "model/techniques/gradient_precision.h"
#include "model/techniques/offload.h"
#include "model/techniques/precision.h"

namespace stepscope::testing {

namespace {

std::int64_t rows_of(const StepSetting& s) {
  return s.global_batch == 0 ? preset_named(s.preset).global_batch : s.global_batch;
}

// Of a custom mask.
Shape mask_shape_of(const StepSetting& s, const ModelSettings& model, std::int64_t rows, std::int64_t sequence) {
  if (!s.mask || std::count(s.mask->begin(), s.mask->end(), "custom") == 0) return {};
  return s.mask->size() > 1 ? Shape{1, 1, sequence, sequence} : Shape{rows, model.heads, sequence, sequence};
}

// Seven of ten keys are visible, and none to the last query of all.
std::vector<std::uint8_t> mask_of(const StepSetting& s, const Shape& shape) {
  std::mt19937 random(static_cast<unsigned>(s.seed) + 9);
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(shape.elements()));
  for (std::uint8_t& visible : mask) visible = random() % 10 < 7 ? 1 : 0;
  std::fill(mask.end() - static_cast<std::ptrdiff_t>(shape.last()), mask.end(), std::uint8_t{0});
  if (s.change_mask) s.change_mask(mask);
  return mask;
}

bool unequal(const StepSetting& s) {
  return s.unequal_lengths || (s.mask && std::count(s.mask->begin(), s.mask->end(), "padding") > 0);
}

// Lengths 0 (an empty row), 1, and others up to the whole row.
std::vector<std::int32_t> lengths_of(const StepSetting& s, std::int64_t rows, std::int64_t sequence) {
  std::mt19937 random(static_cast<unsigned>(s.seed) + 5);
  std::vector<std::int32_t> lengths;
  for (std::int64_t row = 0; row < rows; ++row)
    lengths.push_back(row < 2 ? static_cast<std::int32_t>(row)
                              : std::uniform_int_distribution(1, static_cast<int>(sequence))(random));
  return lengths;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// Copies the logits of every micro-step as soon as they are made.
class LogitsReader final : public Observer {
 public:
  LogitsReader(const Program& program, const Executor& executor, std::vector<float>& logits)
      : program_(program), executor_(executor), logits_(logits) {}
  void step_begins() override { logits_.clear(); }
  void operation_ends(int operation, int) override {
    const auto& outs = program_.operations[static_cast<std::size_t>(operation)].outs;
    if (std::find(outs.begin(), outs.end(), program_.logits) == outs.end() ||
        program_.operations[static_cast<std::size_t>(operation)].phase != Phase::forward)
      return;
    std::vector<float> part(static_cast<std::size_t>(program_.value(program_.logits).type.shape.elements()));
    executor_.read(program_.logits, std::as_writable_bytes(std::span(part)));
    logits_.insert(logits_.end(), part.begin(), part.end());
  }

 private:
  const Program& program_;
  const Executor& executor_;
  std::vector<float>& logits_;
};

}  // namespace

Machine machine_with(int threads) { return this_cpu(threads); }

Step build(const StepSetting& s, const Machine& machine) {
  const Preset& preset = preset_named(s.preset);
  ModelSettings model = preset.model;
  if (s.unequal_lengths) model.mask = {"causal", "padding"};
  if (s.mask) model.mask = *s.mask;
  if (s.change_model) s.change_model(model);
  model = resolved(model);
  StepRecipe recipe;
  if (s.precision == "fp64")
    recipe.compute = recipe.master = DType::fp64;
  else
    precision_technique.apply(s.precision, recipe);
  recipe.keep = s.keep;
  recipe.micro_steps = s.micro_steps;
  recipe.logits_chunks = s.logits_chunks;
  recipe.library_attention = s.library_attention;
  recipe.wide_residual = s.residual_precision == "fp32";
  gradient_precision_technique.apply(s.gradient_precision, recipe);
  if (!s.offload.empty()) offload_technique.apply(s.offload, recipe);
  recipe.offload.in_flight = s.copies_in_flight;
  TrainingSettings training{.global_batch = rows_of(s), .sequence = s.sequence == 0 ? model.max_sequence : s.sequence};
  if (s.change_training) s.change_training(training);
  Machine linked = machine;
  if (s.host_bandwidth > 0) linked.rates.host_bandwidth = s.host_bandwidth;
  return build_step(model, training, recipe, linked, mask_shape_of(s, model, training.global_batch, training.sequence));
}

Step with_updates_elsewhere(const Step& step) {
  Step apart = step;
  for (const Operation& op : step.program.operations) {
    std::int64_t end =
        step.plan.arena_bytes;  // one place for all, so that none finds there what it left in an earlier step
    for (const Write& write : op.writes) {
      if (!write.is_staged()) continue;
      const ValueId id = op.outs[static_cast<std::size_t>(write.out)];
      Placement& out = apart.plan.placements[static_cast<std::size_t>(id.index)];
      EXPECT_GE(out.over.index, 0);
      out.over = {};
      out.offset_bytes = end;
      end += out.slot_bytes();
    }
    apart.plan.arena_bytes = std::max(apart.plan.arena_bytes, end);
  }
  return apart;
}

void fill_batch(const StepSetting& s, const Program& program, Executor& executor) {
  const std::int64_t rows = program.global_batch, sequence = program.sequence;
  std::mt19937 random(static_cast<unsigned>(s.seed));
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(rows * sequence)), targets = tokens;
  const StateId table = program.find_state("embedding");
  const int vocabulary = static_cast<int>(program.state(table).type.shape[0]);
  for (auto* side : {&tokens, &targets})
    for (std::int32_t& token : *side) token = std::uniform_int_distribution(0, vocabulary - 1)(random);
  if (s.change_tokens) s.change_tokens(tokens);
  if (const StateId lengths_state = program.find_state("lengths"); lengths_state.index >= 0) {
    const std::vector<std::int32_t> lengths =
        unequal(s) ? lengths_of(s, rows, sequence)
                   : std::vector<std::int32_t>(static_cast<std::size_t>(rows), static_cast<std::int32_t>(sequence));
    for (std::int64_t row = 0; row < rows; ++row)
      std::fill(targets.begin() + row * sequence + lengths[static_cast<std::size_t>(row)],
                targets.begin() + (row + 1) * sequence, -1);
    executor.write(lengths_state, bytes_of(lengths));
  }
  if (const StateId mask = program.find_state("mask"); mask.index >= 0)
    executor.write(mask, bytes_of(mask_of(s, program.state(mask).type.shape)));
  if (s.change_targets) s.change_targets(targets);
  executor.write(program.find_state("tokens"), bytes_of(tokens));
  executor.write(program.find_state("targets"), bytes_of(targets));
}

StepResult run_step_of(const StepSetting& s) {
  const Machine machine = machine_with(s.threads);
  const Step step = build(s, machine);
  CpuExecutor executor(step.program, step.plan, machine);
  return run_step_on(executor, step, s);
}

StepResult run_step_on(Executor& executor, const Step& step, const StepSetting& s) {
  executor.initialise(s.seed);
  std::vector<float> logits;
  LogitsReader reader(step.program, executor, logits);
  executor.observe(&reader);
  for (int i = 0; i < s.steps; ++i) {
    fill_batch(s, step.program, executor);
    executor.step(1e-3);
  }
  executor.observe(nullptr);
  StepResult result = result_of(executor, step.program);
  result.logits = std::move(logits);
  return result;
}

StepResult run_step_on_card(const StepSetting& s, bool graphs) {
  const Machine card = this_card();
  const Step step = build(s, card);
  const std::unique_ptr<Executor> executor = make_executor(step.program, step.plan, card, {.eager = !graphs});
  if (!graphs) return run_step_on(*executor, step, s);
  executor->initialise(s.seed);
  for (int i = 0; i < s.steps; ++i) {
    fill_batch(s, step.program, *executor);
    executor->step(1e-3);
  }
  return result_of(*executor, step.program);
}

StepResult result_of(Executor& executor, const Program& program) {
  StepResult result;
  result.loss = executor.control().loss_sum / std::max(executor.control().token_count, 1.0);
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const std::string& name = program.state(id).name;
    result.parameters[name] = read_floats(executor, program, id);
    result.gradients[name] = read_floats(executor, program, program.belonging_to(id, StateKind::gradient));
  }
  return result;
}

std::vector<std::string> bitwise_differences(const StepResult& a, const StepResult& b) {
  std::vector<std::string> names;
  const auto same = [](const std::vector<float>& x, const std::vector<float>& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0;
  };
  if (std::memcmp(&a.loss, &b.loss, sizeof(double)) != 0) names.emplace_back("loss");
  if (!same(a.logits, b.logits)) names.emplace_back("logits");
  for (const auto& [name, gradient] : a.gradients) {
    if (!same(gradient, b.gradients.at(name))) names.push_back("gradient." + name);
    if (!same(a.parameters.at(name), b.parameters.at(name))) names.push_back("updated." + name);
  }
  return names;
}

double gradient_error(const StepResult& a, const StepResult& b) {
  double largest_norm = 0, worst = 0;
  const auto norm = [](const std::vector<float>& x) {
    double sum = 0;
    for (const float v : x) sum += static_cast<double>(v) * v;
    return std::sqrt(sum);
  };
  for (const auto& [name, gradient] : b.gradients) largest_norm = std::max(largest_norm, norm(gradient));
  for (const auto& [name, gradient] : b.gradients) {
    double sum = 0;
    const std::vector<float>& other = a.gradients.at(name);
    for (std::size_t i = 0; i < gradient.size(); ++i) sum += std::pow(static_cast<double>(other[i]) - gradient[i], 2);
    const double error = std::sqrt(sum) / std::max(norm(gradient), 1e-3 * largest_norm);
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

}  // namespace stepscope::testing
