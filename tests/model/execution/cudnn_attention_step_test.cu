// Whole steps with cuDNN's attention on a card, or on host SIMT by its operation graph, against the CPU machine's own; and what is refused.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "model/cuda/cudnn_attention.h"
#include "model/cuda/machine.h"
#include "model/execution/cuda_executor.h"
#include "model/operations/attention/attention_library.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {

namespace {

using HowLaunched = CudaExecutor::Launch;

StepResult step_by_library(StepSetting s, HowLaunched how, bool with_used_bytes = false) {
  s.library_attention = true;
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, how);
  StepResult result = run_step_on(executor, step, s);
  if (with_used_bytes) {
    result.used = executor.measure_used_bytes(1e-3);
    EXPECT_EQ(result.used.arena, step.plan.arena_bytes);
    EXPECT_EQ(result.used.largest_live, step.plan.largest_live_bytes);
  }
  return result;
}

// The parameters after some steps that nobody observes: graphs are replayed.
std::vector<std::vector<float>> parameters_after(StepSetting s, HowLaunched how) {
  s.library_attention = true;
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, how);
  executor.initialise(s.seed);
  fill_batch(s, step.program, executor);
  for (int i = 0; i < 3; ++i) executor.step(1e-3 / (i + 1));
  std::vector<std::vector<float>> all;
  for (const StateId id : step.program.states_of(StateKind::parameter)) {
    all.emplace_back(static_cast<std::size_t>(step.program.state(id).type.shape.elements()));
    executor.read(id, std::as_writable_bytes(std::span(all.back())));
  }
  return all;
}

StepSetting small_of(const std::string& preset) {
  StepSetting s;
  s.preset = preset;
  s.precision = "bf16";
  s.global_batch = 4;
  s.sequence = 8;
  s.micro_steps = 2;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  return s;
}

}  // namespace

class CudnnAttentionStep : public ::testing::TestWithParam<std::pair<const char*, bool>> {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_cudnn(); !why.empty()) GTEST_SKIP() << why;
  }
};

TEST_P(CudnnAttentionStep, has_the_cpus_loss_and_gradients_and_the_bytes_that_were_planned) {
  StepSetting s = small_of(GetParam().first);
  s.unequal_lengths = GetParam().second;
  const StepResult cpu = run_step_of(s), card = step_by_library(s, HowLaunched::eager, true);
  EXPECT_TRUE(close(card.loss, cpu.loss, DType::bf16)) << card.loss << ", " << cpu.loss;
  EXPECT_LT(gradient_error(card, cpu), tolerance(DType::bf16).relative);
  EXPECT_EQ(card.used.differences, std::vector<std::string>());
}

TEST_P(CudnnAttentionStep, replayed_as_graphs_has_the_bits_of_eager_steps) {
  StepSetting s = small_of(GetParam().first);
  s.unequal_lengths = GetParam().second;
  EXPECT_EQ(parameters_after(s, HowLaunched::graph), parameters_after(s, HowLaunched::eager));
}

INSTANTIATE_TEST_SUITE_P(Families, CudnnAttentionStep,
                         ::testing::Values(std::pair{"gpt2-tiny", false}, std::pair{"gpt2-tiny", true},
                                           std::pair{"llama-tiny", true}),
                         [](const auto& test) {
                           return std::string(test.param.first).substr(0, 4) + (test.param.second ? "_unequal" : "");
                         });

TEST_F(CudnnAttentionStep, repeats_are_the_librarys_too_and_change_no_bit) {
  StepSetting s = small_of("tiny");
  const StepResult kept = step_by_library(s, HowLaunched::eager);
  s.keep = [](const Program&) { return KeepSet{}; };
  EXPECT_EQ(bitwise_differences(step_by_library(s, HowLaunched::eager), kept), std::vector<std::string>());
}

TEST_F(CudnnAttentionStep, an_engine_that_wants_more_than_the_plan_has_is_not_taken) {
  StepSetting s = small_of("tiny");
  s.library_attention = true;
  Step step = build(s, this_card());
  for (Operation& op : step.program.operations)
    if (by_library(op)) op.workspace_bytes = 512;
  EXPECT_THROW(CudaExecutor(step.program, step.plan, HowLaunched::eager), Unsupported);
}

namespace {
std::string refusal_of(StepSetting s, const Machine& machine) {
  s.library_attention = true;
  try {
    (void)build(s, machine);
  } catch (const Unsupported& error) {
    return error.what();
  }
  return "nothing was refused";
}
}  // namespace

TEST(CudnnAttentionRefusal, says_what_it_does_not_take) {
  Machine card;
  card.kind = Machine::Kind::cuda;
  card.native_bf16 = card.native_fp16 = true;
  const StepSetting s = small_of("tiny");
  EXPECT_EQ(refusal_of(s, card), "nothing was refused");
  EXPECT_EQ(refusal_of(s, machine_with(1)),
            "attention_kernel = cudnn: NVIDIA's library runs on cards, and this is a CPU");
  const auto with = [&](const std::function<void(StepSetting&)>& change) {
    StepSetting other = s;
    change(other);
    return refusal_of(other, card);
  };
  const std::string begin = "attention_kernel = cudnn: cuDNN's fused attention ";
  EXPECT_EQ(with([](StepSetting& x) { x.precision = "fp32"; }), begin + "takes bf16 and fp16, not fp32");
  EXPECT_EQ(with([](StepSetting& x) { x.mask = std::vector<std::string>{"custom"}; }),
            begin + "is given no custom masks here");
  EXPECT_EQ(with([](StepSetting& x) { x.change_model = [](ModelSettings& m) { m.softmax_precision = "bf16"; }; }),
            begin + "holds probabilities in fp32 alone");
  EXPECT_EQ(with([](StepSetting& x) { x.change_model = [](ModelSettings& m) { m.heads = 16; }; }),
            begin + "takes heads of a multiple of 8 features up to 128, not of 4");
  EXPECT_EQ(with([](StepSetting& x) { x.change_model = [](ModelSettings& m) { m.attention = "materialised"; }; }),
            "attention_kernel = cudnn: the model's attention is materialised, only a fused one has it");
}

}  // namespace stepscope::testing
