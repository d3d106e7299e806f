// What the self-test found is kept for its machine and told in words.
#include "harness/self_test.h"

#include <gtest/gtest.h>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/cpu/machine.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

class SelfTests : public TemporaryFolder {
 protected:
  SelfTests() { setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1); }
  ~SelfTests() override { unsetenv("XDG_CACHE_HOME"); }
};

TEST(SelfTestWords, say_alarms_and_finds) {
  const SelfTest test{.rounds = 5,
                      .levels = {{.extra_work = 0, .pairs = 20, .slower = 1, .undecided = 19},
                                 {.extra_work = 0.05, .pairs = 20, .slower = 20}}};
  EXPECT_EQ(in_words(test), "1 of 20 equal pairs of runs called different; 5.0 % more work found in 20 of 20");
}

TEST_F(SelfTests, are_kept_for_their_machine_and_a_spoiled_one_is_none) {
  const Machine machine = this_cpu(1);
  EXPECT_FALSE(kept_self_test(machine));
  SelfTest test{.time = "2026-01-01T00:00:00Z", .rounds = 5, .levels = {{.extra_work = 0.02, .pairs = 3, .same = 3}}};
  EXPECT_EQ(keep_self_test(machine, test), "");
  EXPECT_FALSE(kept_self_test(machine));  // of another machine
  test.key = {.processor = machine.name};
  const std::filesystem::path file = kept_self_test_file(machine);
  write_self_test(file, test);
  EXPECT_EQ(read_self_test(file).levels.front().same, 3);
  write_atomically(file, R"({"schema": "stepscope.self_test/1", "levels": 3})");
  EXPECT_THROW((void)read_self_test(file), UsageError);
  EXPECT_FALSE(kept_self_test(machine));
}

}  // namespace
}  // namespace stepscope
