// Parts of a matrix, measured apart, become the run that one process would have made; what does not belong together is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "model/base/file.h"
#include "reports/comparison.h"
#include "reports/run_folder.h"
#include "tests/support/build_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class Merge : public TemporaryFolder {
 protected:
  testing::ProgramRun run(const std::string& name, std::vector<std::string> more = {}) {
    write_atomically(
        folder / "m.toml",
        "[model]\npreset = \"tiny\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\n"
        "checkpointing = [\"none\", \"MLPBlock\"]\n"
        "[measure]\nrounds = 2\nwarmup_steps = 1\ntimed_steps = 3\nprofiled_steps = 2\nlearning_steps = 0\n");
    more.insert(more.begin(), {"run", (folder / "m.toml").string(), "--threads", "1", "--out", path(name)});
    return testing::run_program(more);
  }
  testing::ProgramRun merge(const std::vector<std::string>& parts, const std::string& out) {
    std::vector<std::string> words{"merge", "--out", path(out)};
    for (const std::string& part : parts) words.push_back(path(part));
    return testing::run_program(words);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder / name).string(); }
};

TEST_F(Merge, shards_become_the_run_that_one_process_makes) {
  ASSERT_EQ(run("plain").status, 0);
  ASSERT_EQ(run("one", {"--shard", "1/2"}).status, 0);
  ASSERT_EQ(run("two", {"--shard", "2/2"}).status, 0);
  const testing::ProgramRun said = merge({"one", "two"}, "whole");
  ASSERT_EQ(said.status, 0) << said.error;
  const MeasuredRun plain = read_run(folder / "plain"), whole = read_run(folder / "whole");
  ASSERT_EQ(whole.cells.size(), plain.cells.size());
  for (std::size_t i = 0; i < plain.cells.size(); ++i) {
    const Record &a = plain.cells[i].record, &b = whole.cells[i].record;
    EXPECT_EQ(a.id, b.id);
    EXPECT_EQ(b.outcome, Outcome::ok) << b.reason;
    EXPECT_EQ(a.bytes.used_peak, b.bytes.used_peak);
    EXPECT_EQ(a.numerics.loss, b.numerics.loss);
    EXPECT_EQ(a.numerics.gradient_error, b.numerics.gradient_error);
    EXPECT_EQ(b.step_time_ns->visits, i == 0 ? 4 : 2);  // the reference was visited by both
    EXPECT_TRUE(i == 0 || time_ratio(whole.cells[i], whole.cells[0])->count == 2);
  }
  EXPECT_EQ(testing::run_program({"report", path("whole")}).status, 0);
  EXPECT_EQ(merge({"one", "two"}, "whole").status, 2);  // is there already
  EXPECT_FALSE(fs::exists(path("whole.partial")));
}

// As Slurm calls it for a task of an array.
TEST_F(Merge, an_array_s_task_measures_its_part) {
  ASSERT_EQ(run("plain", {"--fast"}).status, 0);  // writes the matrix
  const auto task = [&](int number) {
    const std::string line = "STEPSCOPE='" + build_folder() +
                             "/stepscope' SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_ID=" + std::to_string(number) +
                             " '" STEPSCOPE_SOURCE_DIR "/scripts/slurm_array' '" + path("m.toml") + "' '" +
                             path("array") + "' --threads 1 --fast > /dev/null 2>&1";
    return std::system(line.c_str());
  };
  EXPECT_EQ(task(2), 0);
  EXPECT_EQ(task(2), 0);  // requeued, it goes on
  EXPECT_EQ(read_run(folder / "array" / "part-2").cells.size(), 2U);  // its own and the reference
}

TEST_F(Merge, refuses_what_does_not_belong_together) {
  ASSERT_EQ(run("one", {"--shard", "1/2", "--fast"}).status, 0);
  ASSERT_EQ(run("other", {"--shard", "2/2", "--fast", "--set", "layers=1"}).status, 0);
  ASSERT_EQ(run("half", {"--shard", "2/2", "--fast"}).status, 0);
  const auto refused = [&](const std::vector<std::string>& parts) {
    const testing::ProgramRun said = merge(parts, "out");
    EXPECT_EQ(said.status, 2);
    EXPECT_EQ(std::count(said.error.begin(), said.error.end(), '\n'), 1) << said.error;
    EXPECT_FALSE(fs::exists(path("out")));
    return said.error;
  };
  EXPECT_THAT(refused({"one", "other"}), HasSubstr("are of different matrices"));
  EXPECT_THAT(refused({"one", "one"}), HasSubstr("is named twice"));
  EXPECT_THAT(refused({"one", "nowhere"}), HasSubstr("nowhere"));
  fs::copy(path("one"), path("touched"), fs::copy_options::recursive);
  for (const fs::directory_entry& cell : fs::directory_iterator(folder / "touched" / "cells")) {
    std::string numerics = read_file(cell.path() / "numerics.safetensors");
    numerics.back() ^= 1;
    write_atomically(cell.path() / "numerics.safetensors", numerics);
  }
  EXPECT_THAT(refused({"one", "touched"}), HasSubstr("gave different numbers"));
  for (const fs::directory_entry& cell : fs::directory_iterator(folder / "half" / "cells"))
    fs::remove(cell.path() / "visit-1.json");
  EXPECT_THAT(refused({"one", "half"}), HasSubstr("copied half-way"));
  EXPECT_EQ(run("x", {"--shard", "3/2"}).status, 2);
  EXPECT_EQ(run("x", {"--shard", "1/9"}).status, 2);
}

}  // namespace
}  // namespace stepscope
