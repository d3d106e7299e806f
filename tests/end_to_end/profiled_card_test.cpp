// A matrix on a simulated card, looked at as a real one is: CUPTI's records of steps, launched as graphs and one by one, and all that is
// made of them: the same sums in the trace file, in operations.csv and in kernels.csv, and no time without an owner.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "model/base/file.h"
#include "reports/run_folder.h"
#include "tests/support/build_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trace_file.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Place = testing::PhaseLayerOperation;

constexpr int steps = 2;

class ProfiledCard : public TemporaryFolder {
 protected:
  void SetUp() override {
    if (!fs::exists(program)) GTEST_SKIP() << "no host SIMT, so no simulated card";
  }
  MeasuredRun run() {
    std::ofstream(folder / "m.toml") << R"([model]
preset = "tiny"
[matrix]
precision     = ["bf16"]
checkpointing = ["TransformerBlock"]
accumulation  = [4]
launch        = ["graph", "eager"]
[measure]
rounds         = 1
warmup_steps   = 0
timed_steps    = 1
profiled_steps = )" << steps << "\n";
    const testing::ProgramRun said = testing::run_executable(
        program,
        {"run", (folder / "m.toml").string(), "--out", out().string(), "--device", "simulated:h100-sxm,costed"});
    EXPECT_EQ(said.status, 0) << said.error << said.out;
    return read_run(out());
  }
  fs::path out() const { return folder / "run"; }
  fs::path folder_of(const Cell& cell) const { return out() / "cells" / cell.record.id; }

  // Over all steps, by reading nothing but the file.
  std::map<Place, std::int64_t> sums_of_trace(const Cell& cell) const {
    std::map<Place, std::int64_t> sums;
    const nlohmann::json trace = testing::read_trace(folder_of(cell) / "trace.json.gz");
    for (const nlohmann::json& event : trace.at("traceEvents")) {
      const std::string category = event.value("cat", "");
      if (category != "kernel" && category != "gpu_memcpy" && category != "gpu_memset") continue;
      const nlohmann::json& of = event.at("args");
      sums[{of.at("phase"), of.at("layer"), of.at("operation")}] += testing::nanoseconds_of(event.at("dur"));
    }
    return sums;
  }

  const std::string program = build_folder() + "/stepscope_simulated";
};

const Visit& profiled_visit(const Cell& cell) {
  for (const Visit& visit : cell.visits)
    if (visit.kind == VisitKind::profiled) return visit;
  throw std::runtime_error("no profiled visit of " + cell.record.id);
}

bool closes(const std::string& operation) { return operation == "gaps" || operation == "overlap"; }

// Of operations.csv: phase, site, operation, count, time_ns ...
std::map<Place, double> times_in_csv(const fs::path& file) {
  std::map<Place, double> times;
  std::istringstream lines(read_file(file));
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, ',');) fields.push_back(field);
    times[{fields.at(0), fields.at(1), fields.at(2)}] += std::stod(fields.at(4));
  }
  return times;
}

TEST_F(ProfiledCard, has_the_same_time_in_every_file_and_owns_all_of_it) {
  const MeasuredRun there = run();
  std::map<std::string, std::map<Place, double>> by_launch;
  for (const Cell& cell : there.cells) {
    if (cell.record.axes.at("precision") != "bf16") continue;  // the reference that a run adds
    const Visit& visit = profiled_visit(cell);
    ASSERT_TRUE(visit.profiler);
    EXPECT_EQ(visit.profiler->method, "CUPTI");
    EXPECT_EQ(visit.profiler->untraced_step_time_ns.size(), 2U * steps);
    EXPECT_EQ(visit.profiler->dropped_records + visit.profiler->unread_bytes + visit.profiler->untimed_records, 0);
    const std::map<Place, std::int64_t> in_trace = sums_of_trace(cell);
    const std::map<Place, double> in_table = times_in_csv(folder_of(cell) / "operations.csv");
    std::map<Place, double>& times = by_launch[cell.record.axes.value("launch", "graph")];
    double kernels_ns = 0, spans_ns = 0;
    for (const SpanSum& span : visit.spans) {
      if (closes(span.operation)) continue;
      const Place place{span.phase, span.site, span.operation};
      const auto found = in_trace.find(place);
      ASSERT_NE(found, in_trace.end()) << span.phase << " " << span.site << " " << span.operation;
      EXPECT_EQ(static_cast<double>(found->second) / steps, span.time_ns) << span.site << " " << span.operation;
      EXPECT_EQ(in_table.at(place), span.time_ns) << span.site << " " << span.operation;
      spans_ns += span.time_ns;
      if (span.phase != "between") times[place] = span.time_ns;
    }
    for (const KernelSum& kernel : visit.kernels) kernels_ns += kernel.phase == "outside" ? 0 : kernel.time_ns;
    EXPECT_NEAR(kernels_ns, spans_ns, 1e-9 * spans_ns);
    std::int64_t rest_ns = 0;
    for (const TimeSum& rest : visit.profiler->remainders) {
      EXPECT_EQ(rest.name, "step control");
      rest_ns += rest.time_ns;
    }
    EXPECT_EQ(visit.profiler->operations_ns + rest_ns, visit.profiler->device_ns);
    for (const TimeSum& outside : visit.profiler->outside)
      EXPECT_THAT(outside.name, ::testing::AnyOf("warm-up", "between steps"));
    EXPECT_TRUE(fs::exists(folder_of(cell) / "kernels.csv"));
  }
  ASSERT_EQ(by_launch.size(), 2U);
  // The simulated card takes the same time for an operation however it is launched.
  ASSERT_EQ(by_launch["graph"].size(), by_launch["eager"].size());
  for (const auto& [place, ns] : by_launch["graph"])
    EXPECT_NEAR(by_launch["eager"].at(place), ns, 5 + 1e-3 * ns) << std::get<1>(place) << " " << std::get<2>(place);
}

TEST_F(ProfiledCard, has_a_holder_for_each_byte_of_its_memory_and_a_report_of_both) {
  for (const Cell& cell : run().cells)
    for (const Visit& visit : cell.visits) {
      std::int64_t sum = 0;
      for (const auto& [holder, bytes] : visit.device_memory) sum += bytes;
      EXPECT_EQ(sum, visit.device_reports_bytes) << cell.record.id;
      EXPECT_EQ(visit.device_memory.back().first, "residual");
      EXPECT_LT(std::abs(visit.device_memory.back().second), 2 << 20)
          << cell.record.id;  // the context is rounded to MiB
    }
  ASSERT_EQ(testing::run_executable(program, {"report", out().string()}).status, 0);
  const std::string text = read_file(out() / "report" / "report.md");
  EXPECT_THAT(text, HasSubstr("belong to operations"));
  EXPECT_THAT(text, HasSubstr("kernels, copies and sets of the card"));
  EXPECT_THAT(text, HasSubstr("A card's memory by who holds it"));
}

}  // namespace
}  // namespace stepscope
