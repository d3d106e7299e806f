// Folding visits into a record: what counts, what a failure changes, and what never disappears.
#include "reports/cell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace stepscope {
namespace {

Record plan() {
  Record record;
  record.id = "a";
  record.tokens_per_step = 1000;
  record.bytes = {.state = 70, .arena = 30, .predicted_peak = 100};
  record.flops = {.model = 2'000'000, .launched = 3'000'000, .recomputed = 1'000'000};
  record.peak = {.flops_per_second = 4e9, .source = "test"};
  return record;
}

Visit timed(int round, std::vector<double> steps) {
  Visit visit{.cell = "a", .round = round, .kind = VisitKind::timed};
  visit.step_time_ns = std::move(steps);
  visit.used_by_category = {{"state", 70}, {"arena", 30}};
  return visit;
}

Visit failed(VisitKind kind, Outcome outcome, std::string reason) {
  return {.cell = "a", .round = 2, .kind = kind, .outcome = outcome, .reason = std::move(reason)};
}

TEST(RecordOf, loss_scaling_is_that_of_the_visit_with_the_most_steps) {
  std::vector<Visit> visits{timed(1, {1e6}), timed(2, {1e6})};
  EXPECT_FALSE(record_of(plan(), visits).loss_scaling);
  visits[0].loss_scaling = {.scale = 512, .skipped_steps = 7, .steps = 100};
  visits[1].loss_scaling = {.scale = 65536, .skipped_steps = 0, .steps = 13};
  const Record record = record_of(plan(), visits);
  EXPECT_EQ(record.loss_scaling->scale, 512);
  EXPECT_EQ(record.loss_scaling->skipped_steps, 7);
  EXPECT_EQ(record_from_json(to_json(record), "r").loss_scaling->steps, 100);
}

TEST(RecordOf, a_time_is_the_geometric_mean_of_medians) {
  // Medians 1e6 and 4e6 ns; steps beside the median carry no weight.
  const std::vector<Visit> visits{timed(1, {0.9e6, 1e6, 50e6}), timed(2, {4e6, 4e6, 4e6})};
  const Record record = record_of(plan(), visits);
  EXPECT_EQ(record.outcome, Outcome::ok);
  EXPECT_NEAR(record.step_time_ns->median, 2e6, 1e-3);
  EXPECT_EQ(record.step_time_ns->visits, 2);
  EXPECT_LT(*record.step_time_ns->low, 2e6);
  EXPECT_NEAR(*record.tokens_per_second, 1000 / 2e-3, 1e-6);
  EXPECT_NEAR(*record.mfu, 2e6 / 2e-3 / 4e9, 1e-12);
  EXPECT_NEAR(*record.hfu, *record.mfu * 1.5, 1e-12);  // half as much again was launched
  EXPECT_EQ(record.bytes.used_peak, 100);
  EXPECT_FALSE(record.bytes.host);
}

TEST(RecordOf, one_visit_has_no_interval) {
  const Record record = record_of(plan(), std::vector<Visit>{timed(1, {1e6})});
  EXPECT_FALSE(record.step_time_ns->low.has_value() || record.step_time_ns->high.has_value());
}

TEST(RecordOf, without_a_peak_there_is_no_utilisation) {
  Record unknown = plan();
  unknown.peak = {.source = "no peak is known for this machine"};
  const Record record = record_of(unknown, std::vector<Visit>{timed(1, {1e6})});
  EXPECT_FALSE(record.mfu.has_value() || record.hfu.has_value());
}

TEST(RecordOf, a_failed_visit_does_not_undo_a_good_one) {
  const std::vector<Visit> visits{timed(1, {1e6}), failed(VisitKind::profiled, Outcome::crashed, "signal 11")};
  const Record record = record_of(plan(), visits);
  EXPECT_EQ(record.outcome, Outcome::ok);
  EXPECT_EQ(record.failed_visits, 1);
  EXPECT_THAT(record.reason, ::testing::AllOf(::testing::HasSubstr("profiled"), ::testing::HasSubstr("signal 11")));
}

TEST(RecordOf, without_a_good_one_the_failure_is_the_outcome) {
  const Record record = record_of(plan(), std::vector<Visit>{failed(VisitKind::timed, Outcome::timeout, "after 60 s")});
  EXPECT_EQ(record.outcome, Outcome::timeout);
  EXPECT_EQ(record.reason, "after 60 s");
  EXPECT_FALSE(record.step_time_ns.has_value());
}

TEST(RecordOf, a_diverged_loss_is_the_cells_own) {
  const std::vector<Visit> visits{timed(1, {1e6}),
                                  failed(VisitKind::learning, Outcome::diverged, "loss is NaN in step 7")};
  EXPECT_EQ(record_of(plan(), visits).outcome, Outcome::diverged);
}

TEST(RecordOf, an_unverified_cell_shows_no_time) {
  Record unverified = plan();
  mark_unverified(unverified, "gradient error 0.5, allowed 0.03");
  const Record record = record_of(unverified, std::vector<Visit>{timed(1, {1e6})});
  EXPECT_EQ(record.outcome, Outcome::unverified);
  EXPECT_FALSE(record.step_time_ns || record.tokens_per_second || record.mfu || record.hfu);
  EXPECT_EQ(record.bytes.used_peak, 100);  // its bytes are true all the same
}

Visit profiled(const std::vector<double>& traced, const std::vector<double>& untraced) {
  Visit visit = timed(1, traced);
  visit.kind = VisitKind::profiled;
  visit.profiler = ProfilerAccount{.method = "host clock", .untraced_step_time_ns = untraced};
  return visit;
}

TEST(RecordOf, profiling_costs_what_it_costs_beside_the_same_visits_untraced_steps) {
  const Visit visit = profiled({1.04e6, 1.05e6, 1.06e6}, {0.9e6, 1e6, 1e6, 1.1e6});
  const Record record = record_of(plan(), std::vector<Visit>{timed(1, {3e6}), visit});
  EXPECT_NEAR(*record.profiler_overhead, 0.05, 1e-12);
  EXPECT_LT(*record.profiler_overhead_low, 0.05);
  EXPECT_GT(*record.profiler_overhead_high, 0.05);
  EXPECT_EQ(record.step_time_ns->median, 3e6);  // never from a profiled visit
}

TEST(RecordOf, over_visits_profiling_costs_their_mean) {
  const std::vector<Visit> visits{timed(1, {1e6}), profiled({1.01e6}, {1e6}), profiled({2.06e6}, {2e6})};
  const Record record = record_of(plan(), visits);
  EXPECT_NEAR(*record.profiler_overhead, std::sqrt(1.01 * 1.03) - 1, 1e-12);
  EXPECT_LT(*record.profiler_overhead_low, *record.profiler_overhead);
}

TEST(RecordOf, what_looking_costs_is_not_known_without_untraced_steps) {
  EXPECT_FALSE(record_of(plan(), std::vector<Visit>{timed(1, {1e6}), profiled({1e6}, {})}).profiler_overhead);
}

TEST(RecordOf, folding_twice_changes_nothing) {
  std::vector<Visit> visits{timed(1, {1e6}), timed(2, {2e6}), failed(VisitKind::timed, Outcome::crashed, "signal 9")};
  visits[1].disturbance.disturbed = true;
  const Record once = record_of(plan(), visits);
  EXPECT_EQ(once.disturbed_visits, 1);
  EXPECT_EQ(to_json(record_of(once, visits)), to_json(once));
}

TEST(RecordOf, verified_means_held_against_the_reference) {
  Record record = record_of(plan(), std::vector<Visit>{timed(1, {1e6})});
  EXPECT_FALSE(verified(record));
  record.numerics.reference = "another";
  EXPECT_FALSE(verified(record));
  record.numerics.gradient_error = 1e-3;
  EXPECT_TRUE(verified(record));
  record.numerics = {.reference = "a"};  // it is the reference
  EXPECT_TRUE(verified(record));
}

}  // namespace
}  // namespace stepscope
