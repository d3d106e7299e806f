// Attention on tensor cores: beside the CPU machine, and beside loops in double that share nothing with either; every mask, odd lengths,
// tiles that no query sees, rows that see nothing, grouped heads, both narrow types. What they do not take is told too.
#include <gtest/gtest.h>

#include <cstdlib>

#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_flash_cuda.cuh"
#include "tests/support/card_beside.cuh"
#include "tests/support/operation_cases.h"
#include "tests/support/plain_attention.h"

namespace stepscope::testing {

struct FlashCase {
  const char* name;
  std::int64_t sequence, width, heads = 1, kv_heads = 1;
  DType dtype = DType::bf16;
  bool causal = false;
  std::vector<double> lengths = {};  // of each of the batch's rows
  int custom = 0;  // 1: one mask for all, 2: one for each row and head
  std::int64_t batch = 1;
  int micro_steps = 1;
  double deviation = 1;  // of q, k, v
  DType probabilities = DType::fp32;
  bool long_run = false;
};

namespace {

AttentionOperands operands_of(const FlashCase& c, CaseBuilder& builder) {
  const std::int64_t queries = c.heads / c.kv_heads, packed = c.kv_heads * (queries + 2) * c.width;
  const Operand qkv = builder.activation("qkv", {c.batch, c.sequence, packed}, 0, c.deviation);
  AttentionOperands operands{qkv, qkv, qkv, {}, {}};
  std::int64_t next = 0;
  for (Operand* part : {&operands.q, &operands.k, &operands.v}) {
    const std::int64_t features = part == &operands.q ? queries * c.width : c.width;
    part->view = {.offset = next,
                  .shape = {qkv.view.shape[0], c.sequence, c.kv_heads, features},
                  .strides = {c.sequence * packed, packed, packed / c.kv_heads, 1}};
    next += features;
  }
  if (!c.lengths.empty()) operands.lengths = builder.integers("lengths", {c.batch}, c.lengths);
  const Shape one{1, 1, c.sequence, c.sequence}, each{c.batch, c.heads, c.sequence, c.sequence};
  if (c.custom > 0) operands.mask = builder.mask(c.custom == 1 ? one : each, 0.6, 1);
  return operands;
}

CaseProgram program_of(const FlashCase& c) {
  CaseBuilder builder(c.dtype, c.micro_steps);
  const double scale = 1 / std::sqrt(static_cast<double>(c.width));
  builder.project({attention(builder.b, operands_of(c, builder), c.causal, scale, c.probabilities)});
  CaseProgram made = std::move(builder).finish();
  if (c.custom == 0) return made;
  std::vector<double>& mask = made.contents.at("mask");  // whole tiles of it are hidden, from queries and from keys
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const std::int64_t query = static_cast<std::int64_t>(i) / c.sequence % c.sequence,
                       key = static_cast<std::int64_t>(i) % c.sequence;
    if ((query < 64 && key < 64) || (query >= 64 && key >= 64 && key < 128)) mask[i] = 0;
  }
  return made;
}

const Operation& operation_of(const Program& program, const OperationKind& kind) {
  return *std::find_if(program.operations.begin(), program.operations.end(),
                       [&](const Operation& op) { return op.kind == &kind; });
}

PlainAttention plain_of(const FlashCase& c, const CaseProgram& made, int micro, std::vector<double> qkv,
                        std::vector<double> dout) {
  const bool bf = c.dtype == DType::bf16;
  PlainAttention plain{.batch = c.batch / c.micro_steps,
                       .sequence = c.sequence,
                       .heads = c.heads,
                       .kv_heads = c.kv_heads,
                       .width = c.width,
                       .scale = 1 / std::sqrt(static_cast<double>(c.width)),
                       .unit = bf ? 0x1p-8 : 0x1p-11,
                       .tiny = bf ? 0x1p-134 : 0x1p-25,
                       .roundings = c.probabilities == DType::fp32 ? 1 : 2,
                       .qkv = std::move(qkv),
                       .dout = std::move(dout)};
  plain.hidden = [&c, &made, micro](std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j) {
    const std::int64_t row = micro * (c.batch / c.micro_steps) + b;
    if (c.causal && j > i) return true;
    if (!c.lengths.empty() && static_cast<double>(j) >= c.lengths[static_cast<std::size_t>(row)]) return true;
    if (c.custom == 0) return false;
    const std::int64_t matrix = c.custom == 1 ? 0 : row * c.heads + head;
    return made.contents.at("mask")[static_cast<std::size_t>((matrix * c.sequence + i) * c.sequence + j)] == 0;
  };
  plain.run();
  return plain;
}

void expect_within(const char* what, const std::vector<double>& got, const std::vector<Bounded>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(got[i] == expected[i].value || std::fabs(got[i] - expected[i].value) <= expected[i].bound)
        << what << "[" << i << "] is " << got[i] << ", not " << expected[i].value << " within " << expected[i].bound;
}

}  // namespace

class FlashAttention : public ::testing::TestWithParam<FlashCase> {};

TEST_P(FlashAttention, is_that_of_the_cpu_and_of_plain_loops_in_any_order_of_threads) {
  const FlashCase& c = GetParam();
  if (c.long_run && std::getenv("STEPSCOPE_FULL") == nullptr) GTEST_SKIP() << "only with --full";
  const CaseProgram made = program_of(c);
  GuardedMachine machine(made.program);
  for (const auto& [name, numbers] : made.contents) machine.write(made.program.find_state(name), numbers);
  CardBeside card;
  const GuardedMachine::Beside beside = card.beside(c.dtype);
  machine.run_beside(Section::prologue, beside);
  const Operation &forward = operation_of(made.program, attention_kind),
                  &backward = operation_of(made.program, attention_gradient_kind);
  for (int micro = 0; micro < c.micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run_beside(Section::micro, beside);
    const auto on_card = [&](ValueId value) {
      return numbers_at(card.bytes(value).data(), made.program.value(value).type);
    };
    const PlainAttention plain =
        plain_of(c, made, micro, machine.read(forward.ins[0].value()), machine.read(backward.ins[0].value()));
    expect_within("o", on_card(forward.outs[0]), plain.o);
    expect_within("lse", on_card(forward.outs[1]), plain.lse);
    expect_within("dqkv", on_card(backward.outs[0]), plain.dqkv);
    expect_within("delta", on_card(backward.outs[1]), plain.delta);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Masks, FlashAttention,
    ::testing::Values(
        FlashCase{"unmasked_64", 133, 64, 2, 1},
        FlashCase{.name = "causal_64", .sequence = 150, .width = 64, .causal = true},
        FlashCase{.name = "causal_64_fp16", .sequence = 133, .width = 64, .dtype = DType::fp16, .causal = true},
        FlashCase{.name = "padding_64",
                  .sequence = 70,
                  .width = 64,
                  .lengths = {70, 33, 0, 65},
                  .batch = 4,
                  .micro_steps = 2},
        FlashCase{.name = "custom_64", .sequence = 140, .width = 64, .heads = 2, .custom = 2},
        FlashCase{.name = "all_masks_64",
                  .sequence = 135,
                  .width = 64,
                  .heads = 2,
                  .causal = true,
                  .lengths = {130, 61},
                  .custom = 1,
                  .batch = 2,
                  .micro_steps = 2},
        FlashCase{
            .name = "unmasked_128_fp16", .sequence = 67, .width = 128, .heads = 3, .kv_heads = 1, .dtype = DType::fp16},
        FlashCase{.name = "causal_128", .sequence = 101, .width = 128, .heads = 2, .kv_heads = 1, .causal = true},
        FlashCase{.name = "all_masks_128",
                  .sequence = 90,
                  .width = 128,
                  .heads = 2,
                  .dtype = DType::fp16,
                  .causal = true,
                  .lengths = {85, 40},
                  .custom = 2,
                  .batch = 2,
                  .micro_steps = 2},
        FlashCase{.name = "one_key", .sequence = 1, .width = 64},
        FlashCase{.name = "scores_beyond_exp", .sequence = 40, .width = 64, .causal = true, .deviation = 12},
        FlashCase{
            .name = "narrow_probabilities", .sequence = 66, .width = 64, .causal = true, .probabilities = DType::bf16}),
    [](const ::testing::TestParamInfo<FlashCase>& test) { return test.param.name; });

}  // namespace stepscope::testing
