// The parts of a difference sum to the difference, whatever the profiles are.
#include "reports/explanation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/reports/synthetic_run.h"

namespace stepscope {
namespace {

Cell cell_of(const SyntheticRun& run, const SyntheticCell& which, int number) {
  std::mt19937 random(static_cast<unsigned>(number + 3));
  Cell cell;
  Record plan = run.planned(which, number);
  cell.visits = run.visits_of(which, plan, random);
  cell.record = record_of(plan, cell.visits);
  return cell;
}

double sum_of(const Explanation& why) {
  double sum = why.residual_ns;
  for (const Contribution& contribution : why.contributions) sum += contribution.difference_ns();
  return sum;
}

TEST(Explanation, contributions_and_residual_sum_to_the_difference) {
  const SyntheticRun run;
  const Cell a = cell_of(run, {"fp32", "none", 1}, 0), b = cell_of(run, {"bf16", "TransformerBlock", 4}, 1);
  const Explanation why = explain(a, b).value();
  EXPECT_NEAR(why.difference_ns, b.record.step_time_ns->median - a.record.step_time_ns->median, 1e-6);
  EXPECT_NEAR(sum_of(why), why.difference_ns, 1e-6 * std::abs(why.difference_ns));
  for (const std::size_t at_most : {1u, 4u, 10u, 1000u}) {
    double grouped_sum = why.residual_ns;
    const std::vector<WaterfallStep> steps = grouped(why, at_most);
    EXPECT_LE(steps.size(), at_most);
    for (const WaterfallStep& step : steps) grouped_sum += step.difference_ns;
    EXPECT_NEAR(grouped_sum, why.difference_ns, 1e-6 * std::abs(why.difference_ns));
  }
}

TEST(Explanation, of_every_pair_of_a_matrix_sums_in_time_and_bytes) {
  const SyntheticRun run;
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < run.cells.size(); ++i) cells.push_back(cell_of(run, run.cells[i], static_cast<int>(i)));
  for (const Cell& a : cells) {
    for (const Cell& b : cells) {
      const Explanation why = explain(a, b).value();
      EXPECT_NEAR(sum_of(why), why.difference_ns, 1e-6 * a.record.step_time_ns->median);
      std::int64_t bytes = 0;
      for (const auto& [name, part] : why.by_category_bytes) bytes += part;
      EXPECT_EQ(bytes, b.record.bytes.predicted_peak - a.record.bytes.predicted_peak);
      EXPECT_EQ(why.residual_is_large, std::abs(why.residual_ns) > 0.02 * std::abs(why.difference_ns));
      EXPECT_EQ(why.explains, std::abs(why.residual_ns) <= std::abs(why.difference_ns));
    }
  }
}

TEST(Explanation, profiles_that_differ_where_times_do_not_explain_nothing) {
  const SyntheticRun run;
  const Cell a = cell_of(run, {"fp32", "none", 1}, 0);
  Cell b = a;
  for (Visit& visit : b.visits)  // as if something else had run beside the profiled visit
    if (visit.kind == VisitKind::profiled)
      for (SpanSum& span : visit.spans) span.time_ns *= 2;
  const Explanation why = explain(a, b).value();
  EXPECT_FALSE(why.explains);
  EXPECT_TRUE(why.residual_is_large);
}

TEST(Explanation, bytes_sum_exactly_and_name_what_no_category_has) {
  const SyntheticRun run;
  const Cell a = cell_of(run, {"fp32", "none", 1}, 0);
  Cell b = cell_of(run, {"bf16", "none", 1}, 1);
  b.record.bytes.predicted_peak += 512;  // in no category
  const Explanation why = explain(a, b).value();
  std::int64_t sum = 0, uncategorised = 0;
  for (const auto& [name, bytes] : why.by_category_bytes) {
    sum += bytes;
    if (name == "uncategorised") uncategorised = bytes;
  }
  EXPECT_EQ(sum, b.record.bytes.predicted_peak - a.record.bytes.predicted_peak);
  EXPECT_EQ(uncategorised, 512);
}

TEST(Explanation, exchanging_the_cells_exchanges_the_signs) {
  const SyntheticRun run;
  const Cell a = cell_of(run, {"fp32", "none", 1}, 0), b = cell_of(run, {"fp32", "every-2", 1}, 1);
  const Explanation there = explain(a, b).value(), back = explain(b, a).value();
  EXPECT_DOUBLE_EQ(there.difference_ns, -back.difference_ns);
  EXPECT_NEAR(there.residual_ns, -back.residual_ns, 1e-6);
  EXPECT_EQ(there.contributions.size(), back.contributions.size());
}

TEST(Explanation, what_profiling_changed_is_the_residual) {
  // a: 10 timed, 10 profiled (8 in spans). b: 20 timed, 21 profiled (17 in spans). So spans 9, between 2, residual 10 - 11 = -1.
  const auto made = [](double timed_ns, double profiled_ns, double span_ns) {
    Cell cell;
    cell.record.step_time_ns = StepTime{.median = timed_ns, .visits = 1};
    Visit visit{.cell = "x", .round = 1, .kind = VisitKind::profiled};
    visit.step_time_ns = {profiled_ns};
    visit.spans = {{.phase = "forward", .site = "head", .operation = "linear", .count = 1, .time_ns = span_ns}};
    cell.visits = {visit};
    return cell;
  };
  const Explanation why = explain(made(10, 10, 8), made(20, 21, 17)).value();
  ASSERT_EQ(why.contributions.size(), 2u);
  EXPECT_DOUBLE_EQ(why.contributions[0].difference_ns(), 9);
  EXPECT_EQ(why.contributions[1].operation, "between operations");
  EXPECT_DOUBLE_EQ(why.contributions[1].difference_ns(), 2);
  EXPECT_DOUBLE_EQ(why.residual_ns, -1);
  EXPECT_TRUE(why.residual_is_large);  // a tenth of the difference
  EXPECT_FALSE(explain(made(10, 10, 8), made(20, 20, 17)).value().residual_is_large);
}

TEST(Explanation, visits_are_averaged) {
  Cell cell;
  for (const double time : {4.0, 8.0}) {
    Visit visit{.cell = "x", .round = 1, .kind = VisitKind::profiled};
    visit.step_time_ns = {time + 1, time + 1};
    visit.spans = {{.phase = "forward", .site = "head", .operation = "linear", .time_ns = time}};
    cell.visits.push_back(visit);
  }
  cell.visits.push_back({.cell = "x", .kind = VisitKind::profiled, .outcome = Outcome::crashed});
  const StepProfile profile = profile_of(cell).value();
  EXPECT_DOUBLE_EQ(profile.spans.at(0).time_ns, 6);
  EXPECT_DOUBLE_EQ(profile.step_ns, 7);
  EXPECT_DOUBLE_EQ(profile.between_operations_ns, 1);
}

TEST(Explanation, nothing_is_said_without_profiles) {
  SyntheticRun run;
  Cell a = cell_of(run, {"fp32", "none", 1}, 0), b = a;
  b.visits.clear();
  EXPECT_FALSE(explain(a, b).has_value());
}

}  // namespace
}  // namespace stepscope
