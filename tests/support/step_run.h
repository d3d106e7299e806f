// One training step run for real, with everything a law may compare.
//     StepSetting s{.preset = "tiny", .precision = "bf16", .micro_steps = 2};
//     const StepResult r = run_step_of(s);       r.loss, r.gradients["head.weight"], r.logits
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/execution/executor.h"
#include "model/layers/model_settings.h"
#include "model/training/step_program.h"

namespace stepscope::testing {

struct StepSetting {
  std::string preset = "tiny";
  std::string precision = "fp32";  // or a value of the technique, or "fp64"
  std::int64_t micro_steps = 1;
  std::function<KeepSet(const Program&)> keep = keepable;
  int threads = 1;
  bool unequal_lengths = false;  // rows of different lengths: ignored targets, a padding mask
  std::function<void(ModelSettings&)> change_model = {};  // after the preset, before derived fields
  std::function<void(TrainingSettings&)> change_training = {};
  std::int64_t global_batch = 0;  // 0: the preset's
  std::int64_t sequence = 0;  // 0: the model's
  std::function<void(std::vector<std::int32_t>& tokens)> change_tokens = {};
  std::uint64_t seed = 11;
  std::int64_t logits_chunks = 1;
  std::string gradient_precision = "fp32";
  std::string residual_precision = "compute";
  bool library_attention = false;  // attention_kernel = cudnn
  std::vector<std::string> offload = {};  // values of the technique; empty: off
  std::optional<int> copies_in_flight = {};
  double host_bandwidth = 0;  // of the machine's link; 0: as it is
  int steps = 1;  // gradients and logits are the last one's
  std::string name = {};  // for messages
  // In place of the model's. A "custom" one is random, shared by rows and heads where masks are combined and one for each of them else;
  // with "padding" rows have different lengths.
  std::optional<std::vector<std::string>> mask = {};
  std::function<void(std::vector<std::uint8_t>& mask)> change_mask = {};
  std::function<void(std::vector<std::int32_t>& targets)> change_targets = {};
};

struct StepResult {
  double loss = 0;  // sum of token losses / tokens
  std::vector<float> logits;  // [B, S, V] in the order of the batch
  std::map<std::string, std::vector<float>> gradients, parameters;
  Executor::UsedBytes used;  // only where asked for
};

Step build(const StepSetting& s, const Machine& machine);
// The same step, its copies beside nothing, whose updates of states in host memory leave them in another place than they came to, which no plan here chooses.
Step with_updates_elsewhere(const Step& step);
Machine machine_with(int threads);
StepResult run_step_of(const StepSetting& s);  // on this CPU
StepResult run_step_on(Executor& executor, const Step& step, const StepSetting& s);  // of any machine
// On a card, or host SIMT. graphs: as a training has it, nobody looks between operations and between steps; then there are no logits.
StepResult run_step_on_card(const StepSetting& s, bool graphs);
StepResult result_of(Executor& executor, const Program& program);  // after a step; without logits
std::vector<std::byte> batch_tokens(const StepSetting& s, const Program& program);
void fill_batch(const StepSetting& s, const Program& program, Executor& executor);

// Names of what differs in any bit; empty: nothing does.
std::vector<std::string> bitwise_differences(const StepResult& a, const StepResult& b);
// ||a - b|| / ||b||, the largest over gradients; gradients whose norm is nothing beside the others' count against the largest.
double gradient_error(const StepResult& a, const StepResult& b);

}  // namespace stepscope::testing
