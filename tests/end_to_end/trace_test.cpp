// Trace files as a person asks for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trace_file.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class EndToEndTrace : public TemporaryFolder {
 protected:
  std::string file() const { return (folder / "trace.json.gz").string(); }
  testing::ProgramRun run(std::vector<std::string> arguments, std::vector<std::string> more = {}) {
    arguments.insert(arguments.end(), {"--trace", file()});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(arguments);
  }
};

TEST_F(EndToEndTrace, step_writes_its_last_step) {
  const testing::ProgramRun said = run({"step", "--preset", "tiny", "--steps", "3"});
  ASSERT_EQ(said.status, 0) << said.error;
  const nlohmann::json trace = testing::read_trace(file());
  EXPECT_EQ(trace.at("otherData").at("times"), "measured");
  const auto steps = testing::events_of(trace, "step");
  ASSERT_EQ(steps.size(), 2U);  // one step of one micro-step
  EXPECT_EQ(steps.front().at("name"), "ProfilerStep#3");
  std::int64_t sum_ns = 0;
  for (const auto& [key, sum] : testing::operation_sums(trace)) sum_ns += sum.time_ns;
  EXPECT_LE(sum_ns, testing::nanoseconds_of(steps.front().at("dur")));
  EXPECT_GT(sum_ns, 0);
}

TEST_F(EndToEndTrace, plan_writes_the_step_that_a_card_would_run) {
  const std::vector<std::string> cell{"plan", "--preset", "tiny", "--set", "accumulation=2", "--card", "h100-sxm"};
  const testing::ProgramRun said = run(cell, {"--json"});
  ASSERT_EQ(said.status, 0) << said.error;
  const nlohmann::json trace = testing::read_trace(file());
  EXPECT_THAT(trace.at("otherData").at("times").get<std::string>(),
              AllOf(StartsWith("planned, nothing ran"), HasSubstr("h100-sxm")));
  const double predicted_ns = nlohmann::json::parse(said.out).at("predicted_time").at("step_ns");
  const auto step = testing::events_of(trace, "step").front();
  EXPECT_NEAR(static_cast<double>(testing::nanoseconds_of(step.at("dur"))), predicted_ns, 0.5001);
}

TEST_F(EndToEndTrace, plan_refuses_what_it_cannot_tell) {
  const auto refused = [&](const testing::ProgramRun& said, const std::string& why) {
    EXPECT_EQ(said.status, 2);
    EXPECT_THAT(said.error, AllOf(HasSubstr("--trace"), HasSubstr(why)));
    EXPECT_FALSE(std::filesystem::exists(file()));
  };
  refused(run({"plan", "--preset", "tiny"}), "--card");
  std::ofstream(folder / "m.toml") << "[model]\npreset = \"tiny\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\n";
  refused(run({"plan", (folder / "m.toml").string(), "--card", "h100-sxm"}), "2 cells");
}

}  // namespace
}  // namespace stepscope
