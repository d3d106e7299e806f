// compare and explain as a person calls them, on runs that were measured here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/base/file.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using Json = nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Compare : public TemporaryFolder {
 protected:
  std::string run(const std::string& name, std::vector<std::string> more = {}) {
    const std::string out = (folder / name).string();
    write_atomically(folder / "two.toml",
                     "[model]\npreset = \"tiny\"\n[matrix]\ncheckpointing = [\"none\", \"TransformerBlock\"]\n"
                     "[measure]\nrounds = 3\nwarmup_steps = 1\ntimed_steps = 5\nprofiled_steps = 3\n");
    more.insert(more.begin(), {"run", (folder / "two.toml").string(), "--threads", "1", "--out", out});
    const testing::ProgramRun done = testing::run_program(more);
    EXPECT_EQ(done.status, 0) << done.error;
    return out;
  }
};

TEST_F(Compare, two_runs_of_one_program_and_two_cells_of_one_run) {
  const std::string a = run("a"), b = run("b");
  const testing::ProgramRun compared = testing::run_program({"compare", a, b, "--json"});
  const Json said = Json::parse(compared.out);
  EXPECT_EQ(compared.status, said.at("regression").get<bool>() ? 1 : 0);
  EXPECT_TRUE(said.at("same_program"));
  EXPECT_TRUE(said.at("against_reference"));
  EXPECT_EQ(said.at("environment"), Json::array());
  ASSERT_EQ(said.at("cells").size(), 2U);
  EXPECT_EQ(said.at("cells")[0].at("verdict"), "the machine");
  EXPECT_EQ(said.at("cells")[1].at("more_bytes"), 0);
  EXPECT_GT(said.at("cells")[1].at("ratio").at("high"), said.at("cells")[1].at("ratio").at("low"));

  const std::string page = (folder / "page").string();
  const testing::ProgramRun drawn = testing::run_program({"compare", a, b, "--out", page});
  EXPECT_THAT(drawn.out, AllOf(HasSubstr("Of 2 cells in common"), HasSubstr(page + "/report/")));
  EXPECT_THAT(read_file(page + "/report/report.md"), HasSubstr("What differs around them"));
  EXPECT_EQ(testing::run_program({"compare", a, b, "--out", a}).status, 2);  // a run's folder is none

  const std::string recomputed = said.at("cells")[1].at("before"), plain = said.at("cells")[0].at("before");
  const std::string csv = (folder / "parts.csv").string();
  const testing::ProgramRun explained = testing::run_program({"explain", a, plain, recomputed, "--json", "--csv", csv});
  ASSERT_EQ(explained.status, 0) << explained.error;
  const Json why = Json::parse(explained.out);
  double sum = why.at("residual_ns");
  bool recompute = false;
  for (const Json& part : why.at("parts")) {
    sum += part.at("b_ns").get<double>() - part.at("a_ns").get<double>();
    recompute = recompute || part.at("phase") == "recompute";
  }
  EXPECT_NEAR(sum, why.at("difference_ns").get<double>(), 1);
  EXPECT_TRUE(recompute);
  std::int64_t bytes = 0;
  for (const auto& [name, part] : why.at("bytes").items()) bytes += part.get<std::int64_t>();
  EXPECT_EQ(bytes, why.at("difference_bytes").get<std::int64_t>());
  EXPECT_LT(bytes, 0);
  EXPECT_THAT(read_file(csv), HasSubstr("residual"));
  EXPECT_THAT(testing::run_program({"explain", a, b, "--cell", plain}).out,
              AllOf(HasSubstr("residual"), HasSubstr("sum")));

  const auto refused = [](const std::vector<std::string>& words) {
    const testing::ProgramRun run = testing::run_program(words);
    EXPECT_EQ(run.status, 2);
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
    return run.error;
  };
  EXPECT_THAT(refused({"explain", a, b}), HasSubstr("--cell ID names one"));
  EXPECT_THAT(refused({"explain", a, "fp32", plain}), HasSubstr("2 cells begin so"));
  EXPECT_THAT(refused({"explain", a, plain + "x", plain}), HasSubstr("the nearest is " + plain));
  EXPECT_THAT(refused({"explain", a, plain}), HasSubstr("two cells of"));
  EXPECT_THAT(refused({"compare", a, (folder / "none").string()}), HasSubstr("none"));
  EXPECT_THAT(refused({"compare", a}), HasSubstr("two runs' folders"));
  EXPECT_THAT(refused({"compare", a, b, "--self-test"}), HasSubstr("no RUN"));
  EXPECT_THAT(refused({"compare", a, b, "--pairs", "3"}), HasSubstr("--self-test"));
}

// Twice the work is found on any machine; the report of a later run says what was found.
TEST_F(Compare, tests_itself_and_finds_work_that_was_added) {
  setenv("XDG_CACHE_HOME", (folder / "cache").c_str(), 1);
  const testing::ProgramRun tested = testing::run_program(
      {"compare", "--self-test", "--pairs", "1", "--added-work", "1.0", "--threads", "1", "--json"});
  ASSERT_EQ(tested.status, 0) << tested.error;
  const Json level = Json::parse(tested.out).at("levels").at(0);
  EXPECT_EQ(level.at("extra_work"), 1.0);
  EXPECT_EQ(level.at("pairs"), 1);
  EXPECT_EQ(level.at("slower"), 1) << tested.out;
  const std::string later = run("later");
  EXPECT_EQ(testing::run_program({"report", later}).status, 0);
  EXPECT_THAT(read_file(later + "/report/report.md"), HasSubstr("100 % more work found in 1 of 1"));
  unsetenv("XDG_CACHE_HOME");
}

}  // namespace
}  // namespace stepscope
