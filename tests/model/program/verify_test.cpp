// Each rule of the verifier, by a program that breaks it and nothing else.
#include "model/program/verify.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/base/error.h"
#include "model/program/copy.h"
#include "model/program/copy_schedule.h"
#include "model/program/operation.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

using testing::StepCase;

const StepCase blockwise{
    .preset = "tiny", .precision = "bf16", .checkpointing = std::string("TransformerBlock"), .accumulation = 2};

std::string rule_broken_by(const Program& program) {
  try {
    verify(program);
    verify(program, plan_memory(program));
  } catch (const ProgramError& error) {
    return error.rule;
  }
  return "none";
}

std::size_t find(const Program& program, std::string_view kind, Phase phase) {
  for (std::size_t i = 0; i < program.operations.size(); ++i)
    if (program.operations[i].kind->name == kind && program.operations[i].phase == phase) return i;
  ADD_FAILURE() << "no " << kind;
  return 0;
}

TEST(Verify, accepts_a_sound_program) { EXPECT_EQ(rule_broken_by(testing::step_of(blockwise)), "none"); }

TEST(Verify, V1_a_value_read_before_it_is_made) {
  Program p = testing::step_of(blockwise);
  const std::size_t gelu = find(p, "gelu", Phase::forward);
  std::swap(p.operations[gelu], p.operations[gelu - 1]);
  EXPECT_EQ(rule_broken_by(p), "V1");
}

TEST(Verify, V1_a_value_of_one_micro_step_read_by_the_update) {
  Program p = testing::step_of(blockwise);
  Operation late = p.operations[find(p, "gelu", Phase::forward)];
  late.section = Section::update;
  late.phase = Phase::update;
  p.values.push_back(p.value(late.outs[0]));
  late.outs[0] = {static_cast<int>(p.values.size()) - 1};
  p.operations.push_back(late);
  EXPECT_EQ(rule_broken_by(p), "V1");
}

// With what the MLPs keep in host memory, its copies beside other work.
Program with_copies() {
  Program forward = testing::forward_of({.preset = "tiny", .precision = "bf16"});
  send_to_host(forward, made_inside(forward, keepable(forward), "MLPBlock", "offload"));
  Program program = differentiate(forward, keepable(forward));
  schedule_copies(program, OperationTimes(program.operations.size(), 1000), {.bandwidth = 1e10, .in_flight = 4});
  return program;
}

TEST(Verify, accepts_copies_beside_other_work) {
  const Program p = with_copies();
  EXPECT_TRUE(std::ranges::any_of(p.operations, &Operation::runs_beside));
  EXPECT_EQ(rule_broken_by(p), "none");
}

TEST(Verify, V1_a_value_read_before_its_copy_is_awaited) {
  Program p = with_copies();
  p.operations[find(p, "copy_from_host", Phase::backward)].complete_before += 1;
  EXPECT_EQ(rule_broken_by(p), "V1");
}

TEST(Verify, V1_a_copy_that_fetches_what_is_not_there_yet) {
  Program p = with_copies();
  Operation& fetch = p.operations[find(p, "copy_from_host", Phase::backward)];
  for (Operation& op : p.operations)
    if (op.kind == &copy_to_host_kind && op.outs[0] == fetch.ins[0].value())
      op.complete_before = static_cast<int>(&fetch - p.operations.data()) + 1;
  EXPECT_EQ(rule_broken_by(p), "V1");
}

TEST(Verify, V1_a_copy_awaited_outside_its_section) {
  Program p = with_copies();
  p.operations[find(p, "copy_to_host", Phase::forward)].complete_before = static_cast<int>(p.operations.size()) + 1;
  EXPECT_EQ(rule_broken_by(p), "V1");
}

TEST(Verify, V1_something_else_than_a_copy_beside_others) {
  Program p = with_copies();
  const std::size_t loss = find(p, "cross_entropy", Phase::forward);
  p.operations[loss].complete_before = static_cast<int>(loss) + 1;
  EXPECT_EQ(rule_broken_by(p), "V1");
}

TEST(Verify, V2_host_memory_read_by_what_is_no_copy) {
  Program p = with_copies();
  const std::size_t fetch = find(p, "copy_from_host", Phase::backward);
  for (Operation& op : p.operations)
    for (Operand& in : op.ins)
      if (!op.kind->copies && in.is_value() && in.value() == p.operations[fetch].outs[0])
        in.index = p.operations[fetch].ins[0].index;
  EXPECT_EQ(rule_broken_by(p), "V2");
}

// A plan made as if nothing ran beside anything: places of sources and results are given away too early.
TEST(Verify, V3_what_a_copy_beside_others_still_reads_or_fills_is_given_away) {
  const Program p = with_copies();
  Program in_turn = p;
  for (Operation& op : in_turn.operations) op.complete_before = -1;
  EXPECT_NO_THROW(verify(in_turn, plan_memory(in_turn)));
  try {
    verify(p, plan_memory(in_turn));
    FAIL() << "not noticed";
  } catch (const ProgramError& error) {
    EXPECT_EQ(error.rule, "V3");
    EXPECT_NE(std::string(error.what()).find("that is not awaited"), std::string::npos) << error.what();
  }
}

TEST(Verify, V3_a_value_planned_in_the_other_memory) {
  const Program p = with_copies();
  MemoryPlan plan = plan_memory(p);
  plan.placements[static_cast<std::size_t>(p.operations[find(p, "copy_to_host", Phase::forward)].outs[0].index)]
      .memory = Memory::device;
  EXPECT_THROW(verify(p, plan), ProgramError);
}

TEST(Verify, V6_a_copy_of_another_value) {
  const StateHistories kept =
      state_histories(testing::step_of({.preset = "tiny", .precision = "bf16", .checkpointing = std::string("none")}));
  Program p = with_copies();
  EXPECT_NO_THROW(verify(p, &kept));
  std::vector<Operation*> fetches;  // of one type
  for (Operation& op : p.operations)
    if (op.kind == &copy_from_host_kind && (fetches.empty() || p.type(op.ins[0]) == p.type(fetches[0]->ins[0])))
      fetches.push_back(&op);
  ASSERT_GE(fetches.size(), 2U);
  std::swap(fetches[0]->ins[0], fetches[1]->ins[0]);
  EXPECT_NO_THROW(verify(p));
  EXPECT_THROW(verify(p, &kept), ProgramError);
}

TEST(Verify, V2_an_output_of_another_shape_than_its_kind_makes) {
  Program p = testing::step_of(blockwise);
  p.values[static_cast<std::size_t>(p.operations[find(p, "gelu", Phase::forward)].outs[0].index)].type.dtype =
      DType::fp32;
  EXPECT_EQ(rule_broken_by(p), "V2");
}

TEST(Verify, V2_a_view_beyond_its_state) {
  Program p = testing::step_of(blockwise);
  p.operations[find(p, "embedding", Phase::forward)].ins[0].view.micro_stride += 1;
  EXPECT_EQ(rule_broken_by(p), "V2");
}

TEST(Verify, V3_two_live_values_in_one_place) {
  const Program p = testing::step_of(blockwise);
  MemoryPlan plan = plan_memory(p);
  const Operation& norm = p.operations[find(p, "layer_norm", Phase::forward)];
  plan.placements[static_cast<std::size_t>(norm.outs[1].index)].offset_bytes =
      plan.placements[static_cast<std::size_t>(norm.outs[0].index)].offset_bytes;
  EXPECT_THROW(verify(p, plan), ProgramError);
}

TEST(Verify, V3_an_operand_overwritten_before_its_last_reader) {
  const Program p = testing::step_of(blockwise);
  MemoryPlan plan = plan_memory(p);
  // The first block's input is kept to the very end: whatever backward makes in its place destroys it.
  const ValueId x0 = p.operations[find(p, "embedding", Phase::forward)].outs[0];
  const ValueId du = p.operations[find(p, "gelu_gradient", Phase::backward)].outs[0];
  plan.placements[static_cast<std::size_t>(du.index)].offset_bytes =
      plan.placements[static_cast<std::size_t>(x0.index)].offset_bytes;
  plan.placements[static_cast<std::size_t>(du.index)].over = {};
  EXPECT_THROW(verify(p, plan), ProgramError);
}

TEST(Verify, V3_a_plan_one_byte_short_of_a_value) {
  const Program p = testing::step_of(blockwise);
  MemoryPlan plan = plan_memory(p);
  plan.placements[5].size_bytes -= 1;
  EXPECT_THROW(verify(p, plan), ProgramError);
}

TEST(Verify, V4_a_gradient_written_twice_as_if_each_were_the_first) {
  Program p = testing::step_of(blockwise);
  Operation again = p.operations[find(p, "linear_weight_gradient", Phase::backward)];
  p.operations.push_back(again);
  EXPECT_EQ(rule_broken_by(p), "V4");
}

TEST(Verify, V4_a_parameter_without_a_gradient) {
  Program p = testing::step_of(blockwise);
  p.operations.erase(p.operations.begin() +
                     static_cast<std::ptrdiff_t>(find(p, "embedding_gradient", Phase::backward)));
  EXPECT_EQ(rule_broken_by(p), "V4");
}

TEST(Verify, V4_a_parameter_updated_inside_a_micro_step) {
  Program p = testing::step_of(blockwise);
  Operation& op = p.operations[find(p, "linear_weight_gradient", Phase::backward)];
  op.writes[0].state = p.state(op.writes[0].state).master;
  EXPECT_EQ(rule_broken_by(p), "V4");
}

TEST(Verify, V5_a_repeat_with_another_random_site) {
  Program p = testing::step_of(blockwise);
  p.operations[find(p, "dropout_add", Phase::recompute)].attributes.random_site += 1;
  EXPECT_EQ(rule_broken_by(p), "V5");
}

TEST(Verify, V6_a_gradient_made_from_another_activation) {
  const StepCase everything{
      .preset = "tiny", .precision = "bf16", .checkpointing = std::string("none"), .accumulation = 2};
  const StateHistories kept = state_histories(testing::step_of(everything));
  Program p = testing::step_of(blockwise);
  EXPECT_NO_THROW(verify(p, &kept));
  // The second block's GELU gradient reads the first block's u: same shape, same type, wrong numbers.
  const std::size_t wrong = find(p, "gelu_gradient", Phase::backward);
  p.operations[wrong].ins[1].index = p.operations[find(p, "gelu", Phase::forward)].ins[0].index;
  EXPECT_NO_THROW(verify(p));
  try {
    verify(p, &kept);
    FAIL() << "not noticed";
  } catch (const ProgramError& error) {
    EXPECT_EQ(error.rule, "V6");
  }
}

TEST(Verify, V7_two_operations_at_one_random_site) {
  Program p = testing::step_of({.preset = "tiny"});
  int first = -1;
  for (Operation& op : p.operations) {
    if (op.kind->name != "dropout_add") continue;
    if (first < 0) first = op.attributes.random_site;
    op.attributes.random_site = first;
  }
  EXPECT_EQ(rule_broken_by(p), "V7");
}

TEST(Verify, V8_a_workspace_outside_the_arena) {
  Program p = testing::step_of(blockwise);
  const std::size_t matmul = find(p, "linear", Phase::forward);
  p.operations[matmul].workspace_bytes = 4096;
  MemoryPlan plan = plan_memory(p);
  EXPECT_NO_THROW(verify(p, plan));
  p.operations[matmul].workspace_bytes = plan.arena_bytes;  // more than its cap
  try {
    verify(p, plan);
    FAIL() << "not noticed";
  } catch (const ProgramError& error) {
    EXPECT_EQ(error.rule, "V8");
  }
}

TEST(Verify, V9_backward_in_the_middle_of_forward) {
  Program p = testing::step_of(blockwise);
  std::swap(p.operations[find(p, "layer_norm_gradient", Phase::backward)].phase,
            p.operations[find(p, "gelu", Phase::forward)].phase);
  EXPECT_EQ(rule_broken_by(p), "V9");
}

TEST(Verify, V9_an_operation_without_a_site) {
  Program p = testing::step_of(blockwise);
  p.operations[find(p, "gelu", Phase::forward)].site = {0};  // the root has no path
  EXPECT_EQ(rule_broken_by(p), "V9");
}

}  // namespace
}  // namespace stepscope
