// Which parameters an optimizer decays, and that an update's operations cover every parameter once.
#include "model/training/optimizer.h"

#include <gtest/gtest.h>

#include <map>

#include "model/base/error.h"
#include "model/operations/adam/adam.h"
#include "tests/support/programs.h"

namespace stepscope {
namespace {

// The decay of every parameter, by name; a parameter that two operations update fails.
std::map<std::string, double> decays_of(const char* preset, const TrainingSettings& training) {
  Program p = testing::step_of({preset});
  append_update(p, training);
  std::map<std::string, double> decays;
  for (const Operation& op : p.operations) {
    if (op.kind != &adam_kind) continue;
    EXPECT_EQ(op.attributes.beta1, training.beta1);
    EXPECT_EQ(op.attributes.beta2, training.beta2);
    for (std::size_t w = 0; w < op.writes.size(); w += 3) {
      const std::string& name = p.state(op.writes[w].state).name;
      EXPECT_TRUE(decays.emplace(name, op.attributes.weight_decay).second) << name;
      EXPECT_EQ(p.state(op.ins[1 + w / 3].state()).name, "gradient." + name);
      EXPECT_EQ(p.state(op.writes[w + 1].state).name, "moment1." + name);
      EXPECT_EQ(p.state(op.writes[w + 2].state).name, "moment2." + name);
    }
  }
  EXPECT_EQ(decays.size(), p.states_of(StateKind::parameter).size());
  return decays;
}

TEST(Optimizer, adamw_decays_matrices_of_dense_layers_and_nothing_else) {
  for (const char* preset : {"tiny", "gpt2-tiny", "llama-tiny", "qwen3-tiny"})
    for (const auto& [name, decay] :
         decays_of(preset, {.optimizer = "adamw", .beta1 = 0.8, .beta2 = 0.95, .weight_decay = 0.25}))
      EXPECT_EQ(decay, name.ends_with(".weight") ? 0.25 : 0) << name;
}

TEST(Optimizer, adam_decays_nothing_and_updates_a_block_in_one_operation) {
  for (const auto& [name, decay] : decays_of("tiny", {.optimizer = "adam", .weight_decay = 0.25}))
    EXPECT_EQ(decay, 0) << name;
  const auto updates = [](const char* optimizer) {
    Program p = testing::step_of({"tiny"});
    const std::size_t before = p.operations.size();
    append_update(p, {.optimizer = optimizer});
    return p.operations.size() - before;
  };
  EXPECT_EQ(updates("adam"), 2U + 2 * 2 + 2);  // positions, embedding, halves of two blocks, final norm, head
  EXPECT_EQ(updates("adamw"), 2U + 2 * 2 * 2 + 1 + 2);  // halves of blocks and the head: matrices, and the rest
}

TEST(Optimizer, an_unknown_one_is_refused) { EXPECT_THROW((void)optimizer_named("sgd"), UsageError); }

}  // namespace
}  // namespace stepscope
