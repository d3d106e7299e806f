// A whole run folder, written by the synthetic run, read and reported on.
#include "reports/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "model/base/error.h"
#include "reports/format.h"
#include "reports/names.h"
#include "tests/reports/synthetic_run.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

fs::path fresh(const std::string& name) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("stepscope_" + name);
  fs::remove_all(folder);
  return folder;
}

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::size_t lines_of(const fs::path& file) {
  const std::string text = text_of(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST(Report, holds_every_section_and_every_cell) {
  const fs::path folder = SyntheticRun{}.write(fresh("whole"));
  EXPECT_EQ(write_report(folder), 0);
  const nlohmann::json report = nlohmann::json::parse(text_of(folder / "report" / "report.json"));
  EXPECT_EQ(report["schema"], "stepscope.report/1");
  EXPECT_TRUE(report["simulated"]);
  std::vector<std::string> ids;
  for (const auto& section : report["sections"]) ids.push_back(section["id"]);
  EXPECT_EQ(ids, (std::vector<std::string>{"answer", "time-memory", "techniques", "cells", "memory", "time", "learning",
                                           "prediction", "trust"}));
  EXPECT_EQ(lines_of(folder / "report" / "cells.csv"),
            1u + 16 + 3);  // head, the product, one crashed, one too big, one skipped
  const std::string markdown = text_of(folder / "report" / "report.md");
  EXPECT_THAT(markdown, HasSubstr("signal 11"));
  EXPECT_THAT(markdown, HasSubstr("to the byte in 16 of 16 simulated cells"));
  EXPECT_THAT(markdown, HasSubstr("load average 4.8 on 2 threads"));  // a disturbed visit is told
}

TEST(Report, of_a_simulated_run_calls_nothing_measured_but_what_was_not) {
  const fs::path folder = SyntheticRun{}.write(fresh("simulated"));
  (void)write_report(folder);
  std::istringstream lines(text_of(folder / "report" / "report.md"));
  std::vector<std::string> claims;
  for (std::string line; std::getline(lines, line);)
    if (line.find("measured") != std::string::npos) claims.push_back(line);
  EXPECT_THAT(claims, ::testing::ElementsAre("**Simulated device: no time in this report was measured on hardware.**"));
  SyntheticRun real;
  real.device = "cpu";
  const Report of_cpu = report_on(read_run(real.write(fresh("real"))));
  EXPECT_FALSE(of_cpu.simulated);
  EXPECT_THAT(of_cpu.sentence, ::testing::Not(HasSubstr("Simulated")));
}

TEST(Report, each_figure_has_its_file_and_no_other_file_stays) {
  const fs::path folder = SyntheticRun{}.write(fresh("figures"));
  fs::create_directories(folder / "report" / "figures");
  std::ofstream(folder / "report" / "figures" / "old.csv") << "stale\n";
  (void)write_report(folder);
  EXPECT_FALSE(fs::exists(folder / "report" / "figures" / "old.csv"));
  const Report report = report_on(read_run(folder));
  std::size_t figures = 0;
  for (const ReportSection& section : report.sections) {
    for (const Block& block : section.blocks) {
      if (block.kind != Block::Kind::figure) continue;
      ++figures;
      for (const auto& row : block.figure.rows) EXPECT_EQ(row.size(), block.figure.columns.size()) << block.figure.name;
      EXPECT_EQ(lines_of(folder / "report" / "figures" / (block.figure.name + ".csv")), block.figure.rows.size() + 1);
    }
  }
  EXPECT_EQ(figures, 10u);
}

TEST(Report, tables_have_a_cell_for_each_column) {
  const Report report = report_on(read_run(SyntheticRun{}.write(fresh("tables"))));
  for (const ReportSection& section : report.sections) {
    for (const Block& block : section.blocks) {
      for (const auto& row : block.table.rows) EXPECT_EQ(row.size(), block.table.columns.size()) << block.table.name;
    }
  }
}

TEST(Report, is_the_same_for_the_same_run) {
  const fs::path folder = SyntheticRun{}.write(fresh("same"));
  (void)write_report(folder);
  const std::string first = text_of(folder / "report" / "report.json");
  (void)write_report(folder);
  EXPECT_EQ(text_of(folder / "report" / "report.json"), first);
}

TEST(Report, draws_nothing_of_fewer_than_three_points) {
  SyntheticRun run{.failures = false, .learning_steps = 0};
  run.cells = {{"fp32", "none", 1}, {"bf16", "none", 1}};
  const fs::path folder = run.write(fresh("two"));
  (void)write_report(folder);
  EXPECT_FALSE(fs::exists(folder / "report" / "figures" / "time_memory.csv"));
  EXPECT_FALSE(fs::exists(folder / "report" / "figures" / "techniques.csv"));
  EXPECT_FALSE(fs::exists(folder / "report" / "figures" / "learning.csv"));
  EXPECT_FALSE(fs::exists(folder / "report" / "figures" / "predicted_time.csv"));
  EXPECT_TRUE(fs::exists(folder / "report" / "figures" / "memory_timeline.csv"));  // its points are operations
}

TEST(Report, refuses_a_folder_that_is_no_run_and_a_file_of_another_version) {
  EXPECT_THROW((void)read_run(fresh("nothing")), UsageError);
  const fs::path folder = SyntheticRun{}.write(fresh("version"));
  const fs::path file = folder / "cells" / SyntheticRun::id_of({"fp32", "none", 1}, 0) / "record.json";
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(text_of(file));
  json["schema"] = "stepscope.record/0";
  std::ofstream(file) << json.dump();
  EXPECT_THROW((void)read_run(folder), UsageError);
}

TEST(Report, is_not_made_of_records_whose_visits_are_gone) {
  const fs::path folder = SyntheticRun{}.write(fresh("published"));
  EXPECT_EQ(write_report(folder), 0);
  const std::string page = text_of(folder / "report" / "report.md");
  for (const auto& entry : fs::recursive_directory_iterator(folder / "cells"))
    if (entry.path().filename().string().starts_with("visit-")) fs::remove(entry.path());
  EXPECT_THROW(write_report(folder), UsageError);
  EXPECT_EQ(text_of(folder / "report" / "report.md"), page);
}

TEST(Names, are_short_and_never_the_same) {
  SyntheticRun synthetic{.failures = false};
  synthetic.cells.push_back(synthetic.cells.front());  // equal in every axis shown
  const MeasuredRun run = read_run(synthetic.write(fresh("names")));
  const Names names(run);
  std::set<std::string> labels;
  for (const Cell& cell : run.cells) labels.insert(names.label(cell.record));
  EXPECT_EQ(labels.size(), run.cells.size());
  EXPECT_EQ(names.label(run.cells[2].record), "fp32 MLP+Attn ×1");
  EXPECT_EQ(short_value("checkpointing", "TransformerBlock"), "Block");
  EXPECT_EQ(short_value("sequence", 256), "sequence 256");
}

TEST(Format, units_and_signs) {
  EXPECT_EQ(format_time(183.12e6), "183.1 ms");
  EXPECT_EQ(format_time(1.5e9), "1.500 s");
  EXPECT_EQ(format_bytes(3.0 * (1 << 20)), "3.000 MiB");
  EXPECT_EQ(format_count(-155877376), "−155,877,376");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_percent(0.412), "41 %");
  EXPECT_EQ(format_percent(0.0123), "1.2 %");
  EXPECT_EQ(format_ratio({.middle = 1.834, .low = 1.79, .high = 1.87, .count = 3}), "1.83× (1.79–1.87)");
  EXPECT_EQ(in({.scale = 1, .name = "", .decimals = 1}, -0.01), "0.0");
}

TEST(Csv, quotes_only_what_needs_it) {
  EXPECT_EQ(csv_of({"a", "b"}, {{"1,5", "say \"x\""}, {"plain", ""}}), "a,b\n\"1,5\",\"say \"\"x\"\"\"\nplain,\n");
}

}  // namespace
}  // namespace stepscope
