// The floor of a step: derived by hand for two spans, and laws on a synthetic run.
#include "reports/floor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "reports/figures.h"
#include "reports/report.h"
#include "tests/reports/synthetic_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

const Card plain{.name = "plain", .fp32_flops = 100e9, .bf16_flops = 200e9, .bandwidth = 10e9};

Cell cell_of(std::vector<SpanSum> spans, const std::string& precision = "fp32") {
  Cell cell;
  cell.record.axes = {{"precision", precision}};
  double sum = 0;
  for (const SpanSum& span : spans) sum += span.time_ns;
  cell.visits = {{.kind = VisitKind::profiled, .step_time_ns = {sum + 1000}, .spans = std::move(spans)}};
  return cell;
}

TEST(Floor, is_the_greater_of_arithmetic_and_bytes) {
  const std::vector<SpanSum> spans{{"forward", "blocks.0.up", "linear", 1, 50'000, 2'000'000, 100'000},
                                   {"forward", "blocks.0.act", "gelu", 2, 30'000, 0, 200'000}};
  const StepFloor floor = *floor_of(cell_of(spans), plain);
  ASSERT_EQ(floor.rows.size(), 2U);
  EXPECT_DOUBLE_EQ(floor.rows[0].compute_ns, 20'000);  // 2e6 / 100e9
  EXPECT_DOUBLE_EQ(floor.rows[0].memory_ns, 10'000);  // 1e5 / 10e9
  EXPECT_DOUBLE_EQ(floor.rows[0].floor_ns, 20'000);
  EXPECT_DOUBLE_EQ(floor.rows[1].floor_ns, 20'000);
  EXPECT_DOUBLE_EQ(floor.floor_ns, 40'000);
  EXPECT_DOUBLE_EQ(floor.between_operations_ns, 1000);
  EXPECT_DOUBLE_EQ(floor_of(cell_of(spans, "bf16"), plain)->rows[0].floor_ns, 10'000);
}

TEST(Floor, what_fits_a_cache_comes_from_it) {
  Card cached = plain;
  cached.levels = {{.bytes = 1000, .bandwidth = 100e9}, {.bytes = 100'000, .bandwidth = 10e9}};
  const auto memory_ns = [&](std::int64_t count, std::int64_t bytes) {
    return floor_of(cell_of({{"forward", "a", "gelu", count, 1e6, 0, bytes}}), cached)->floor_ns;
  };
  EXPECT_DOUBLE_EQ(memory_ns(1, 50'000), 500);  // all of it may come at the first rate
  EXPECT_DOUBLE_EQ(memory_ns(1, 300'000), 20'000);  // 200,000 bytes at least come from beyond
  EXPECT_DOUBLE_EQ(memory_ns(6, 300'000), 3000);  // runs of 50,000 bytes
}

TEST(Floor, nothing_is_said_without_a_peak_or_a_profile) {
  EXPECT_FALSE(floor_of(cell_of({{"forward", "a", "gelu", 1, 1, 0, 1}}, "fp16"), plain));
  EXPECT_FALSE(floor_of(Cell{}, plain));
}

TEST(Floor, an_operation_below_its_floor_shows_that_a_ceiling_is_too_low) {
  const StepFloor floor = *floor_of(cell_of({{"forward", "a", "linear", 1, 9'000, 1'000'000, 10},
                                             {"forward", "b", "linear", 1, 9'900, 1'000'000, 10}}),
                                    plain);
  ASSERT_EQ(exceeds(floor, 0.05).size(), 1U);
  EXPECT_EQ(exceeds(floor, 0.05)[0].site, "a");
}

class FloorOfRun : public TemporaryFolder {
 protected:
  FloorOfRun() : run(read_run(SyntheticRun{}.write(folder / "run"))) {}
  MeasuredRun run;
};

TEST_F(FloorOfRun, however_it_is_grouped_it_sums_to_the_same) {
  const Card ceilings = card_of(*run.calibration);
  for (const Cell& cell : run.cells) {
    const std::optional<StepFloor> floor = floor_of(cell, ceilings);
    if (!floor) continue;
    for (const std::vector<FloorRow>& rows : {floor->rows, by_layer_kind(*floor), by_operation(*floor)}) {
      double time = 0, least = 0;
      for (const FloorRow& row : rows) time += row.time_ns, least += row.floor_ns;
      EXPECT_NEAR(time + floor->between_operations_ns, floor->step_ns, 1e-6 * floor->step_ns);
      EXPECT_NEAR(least, floor->floor_ns, 1e-6 * floor->floor_ns);
    }
    const std::vector<FloorRow> rows = by_layer_kind(*floor);
    EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(),
                               [](const FloorRow& a, const FloorRow& b) { return a.above_ns() > b.above_ns(); }));
  }
}

TEST_F(FloorOfRun, points_of_the_roofline_lie_below_the_lines_drawn) {
  const Analysis analysis(run);
  const Card ceilings = card_of(*run.calibration);
  const std::optional<Figure> figure = roofline_figure(analysis, ceilings);
  ASSERT_TRUE(figure);
  std::set<std::string> kinds;
  for (const auto& row : figure->rows) {
    kinds.insert(row[0]);
    ASSERT_EQ(row.size(), figure->columns.size());
    if (row[0] == "point") {
      EXPECT_LE(std::stod(row[8]), peak_named(ceilings, row[4])) << row[5];
    }
  }
  EXPECT_EQ(kinds, (std::set<std::string>{"bandwidth", "peak", "point"}));
}

TEST_F(FloorOfRun, without_a_calibration_the_report_says_what_is_lacking) {
  std::filesystem::remove(folder / "run" / "calibration.json");
  const MeasuredRun uncalibrated = read_run(folder / "run");
  const Analysis analysis(uncalibrated);
  const std::vector<Block> blocks = floor_blocks(analysis);
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_THAT(blocks[0].text, ::testing::HasSubstr("--calibrate"));
}

}  // namespace
}  // namespace stepscope
