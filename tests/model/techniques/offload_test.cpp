// Which words offload takes, which values they name, and what it says to others.
#include "model/techniques/offload.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/base/error.h"
#include "model/techniques/checkpointing.h"
#include "tests/support/programs.h"
#include "tests/support/step_run.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

std::string refusal(const Choice& choice) {
  try {
    StepRecipe recipe;
    offload_technique.apply(choice, recipe);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(Offload, off_leaves_the_recipe_as_it_was) {
  StepRecipe recipe;
  offload_technique.apply(offload_technique.off, recipe);
  EXPECT_FALSE(recipe.offload.any());
  EXPECT_TRUE(offload_technique.unseen_when_off);
}

TEST(Offload, unknown_words_are_one_line) {
  EXPECT_THAT(
      refusal(std::string("gradients")),
      AllOf(HasSubstr("offload = gradients: must be \"none\", \"optimizer\""), ::testing::Not(HasSubstr("\n"))));
  for (const Choice& wrong :
       {Choice(std::string("activations:")), Choice(std::string("")), Choice(true), Choice(std::int64_t{1}),
        Choice(std::string("window:2")), Choice(Words{"optimizer", "window:-1"}),
        Choice(Words{"optimizer", "window:two"}), Choice(Words{"optimizer", "window:1", "window:2"}), Choice(Words{}),
        Choice(Words{"none", "optimizer"}), Choice(Words{"optimizer", "optimiser"})})
    EXPECT_THAT(refusal(wrong), HasSubstr("offload = ")) << to_string(wrong);
  for (const Choice& right :
       {Choice(std::string("none")), Choice(std::string("master")),
        Choice(Words{"optimizer", "master", "activations:MLPBlock"}), Choice(Words{"window:0", "optimizer"})})
    EXPECT_EQ(refusal(right), "nothing was refused") << to_string(right);
}

std::string building(const Words& words, const std::string& precision) {
  try {
    (void)testing::build({.precision = precision, .offload = words}, testing::machine_with(1));
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was refused";
}

TEST(Offload, what_the_model_does_not_have_is_refused_when_it_is_built) {
  EXPECT_THAT(building({"activations:Convolution"}, "bf16"), HasSubstr("offload = activations:Convolution: no such"));
  EXPECT_THAT(building({"master"}, "fp32"), HasSubstr("offload = master: needs precision"));
  EXPECT_EQ(building({"master"}, "fp16"), "nothing was refused");
}

// The residual stream between blocks is read outside of them: checkpointing keeps it, offload may send it away.
TEST(Offload, sends_what_is_kept_of_a_target_whoever_reads_it) {
  const Program forward = testing::forward_of({.preset = "tiny"});
  const KeepSet all = keepable(forward), dropped = keep_outside(forward, {"TransformerBlock"});
  const KeepSet sent = offloaded_values(forward, all, {.targets = {"TransformerBlock"}});
  const KeepSet stream = offloaded_values(forward, dropped, {.targets = {"TransformerBlock"}});
  EXPECT_GT(sent.size(), stream.size());
  EXPECT_FALSE(stream.empty());
  for (const ValueId id : stream) EXPECT_TRUE(dropped.contains(id));
  for (const ValueId id : all)
    if (forward.site(forward.value(id).site).path.starts_with("blocks")) {
      EXPECT_TRUE(sent.contains(id));
    }
}

}  // namespace
}  // namespace stepscope
