// The dump is stable: a change of the program, the planner or the format shows as a difference to the committed file.
// To accept a change: STEPSCOPE_WRITE_GOLDEN=1 build/stepscope_tests --gtest_filter='Print.*'
#include "model/program/print.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/support/programs.h"

namespace stepscope {
namespace {

TEST(Print, of_tiny_with_checkpointed_blocks_is_the_committed_text) {
  const Program p = testing::step_of({"tiny", "bf16", std::string("TransformerBlock"), 2});
  const std::string text = print(p, plan_memory(p));
  const std::string path = STEPSCOPE_SOURCE_DIR "/tests/golden/tiny_program.txt";
  if (std::getenv("STEPSCOPE_WRITE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  EXPECT_EQ(text, std::string(std::istreambuf_iterator<char>(file), {}));
}

}  // namespace
}  // namespace stepscope
