// The answer of a report, and the comparisons it rests on, in small runs whose best cell is known.
#include "reports/recommendation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "reports/cell.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A verified cell that takes ms[round] in each round and so many bytes.
Cell cell(const char* precision, const char* checkpointing, int accumulation, std::vector<double> ms,
          std::int64_t bytes) {
  Cell made;
  Record& record = made.record;
  record.id = std::string(precision) + "-" + checkpointing + "-x" + std::to_string(accumulation);
  record.axes = {{"precision", precision}, {"checkpointing", checkpointing}, {"accumulation", accumulation}};
  record.tokens_per_step = 1000;
  record.bytes.predicted_peak = bytes;
  record.numerics.reference = "fp32-none-x1";
  if (record.id != record.numerics.reference) record.numerics.gradient_error = 1e-3;
  for (std::size_t i = 0; i < ms.size(); ++i) {
    Visit visit{.cell = record.id, .round = static_cast<int>(i) + 1};
    visit.step_time_ns = {ms[i] * 1e6};
    made.visits.push_back(visit);
  }
  record = record_of(record, made.visits);
  return made;
}

MeasuredRun run_of(std::vector<Cell> cells) {
  MeasuredRun run;
  run.cells = std::move(cells);
  return run;
}

Answer answered(const MeasuredRun& run) { return answer_of(run, Names(run)); }

const std::int64_t gb = 1'000'000'000;

TEST(Recommendation, says_the_fastest_with_its_ratio_and_memory) {
  // Half the time in every round although the machine drifts by half: 2.00 without width. 6 GB for 10: 40 % less.
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 120, 150}, 10 * gb), cell("bf16", "none", 4, {50, 60, 75}, 6 * gb)});
  const Answer answer = answered(run);
  EXPECT_EQ(answer.best, &run.cells[1]);
  EXPECT_THAT(answer.sentence,
              HasSubstr("Use bf16, recompute nothing, 4 micro-batches: 2.00× (2.00–2.00) the speed of fp32 none ×1"));
  EXPECT_THAT(answer.sentence, HasSubstr("at 40 % less memory"));
  EXPECT_THAT(answer.sentence, HasSubstr("bf16's table"));
}

TEST(Recommendation, says_when_the_reference_itself_is_best) {
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {50, 51, 50}, 10 * gb), cell("fp32", "every-2", 1, {60, 61, 60}, 6 * gb)});
  const Answer answer = answered(run);
  EXPECT_EQ(answer.best, answer.baseline);
  EXPECT_THAT(answer.sentence, HasSubstr("Keep the plain reference"));
  EXPECT_THAT(answer.sentence, HasSubstr("no verified cell is faster"));
}

TEST(Recommendation, noise_and_more_memory_are_no_reason_to_change) {
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {50, 51, 49}, 10 * gb), cell("bf16", "none", 1, {49, 50, 50}, 11 * gb)});
  EXPECT_THAT(answered(run).sentence, HasSubstr("no verified cell is measurably faster"));
}

TEST(Recommendation, never_an_unverified_cell) {
  MeasuredRun run = run_of({cell("fp32", "none", 1, {100, 100}, gb), cell("bf16", "none", 1, {10, 10}, gb),
                            cell("bf16", "none", 4, {90, 90}, gb)});
  mark_unverified(run.cells[1].record, "gradient error 0.5");
  EXPECT_EQ(answered(run).best, &run.cells[2]);
  run.cells[2].record.numerics.gradient_error.reset();  // measured, but not held against the reference yet
  EXPECT_EQ(answered(run).best, &run.cells[0]);
}

TEST(Recommendation, widened_times_are_not_compared_across_precisions) {
  MeasuredRun run = run_of({cell("fp32", "none", 1, {100, 100}, gb), cell("bf16", "none", 1, {50, 50}, gb / 2)});
  run.cells[1].record.numerics.arithmetic = "widened";
  const Answer answer = answered(run);
  EXPECT_EQ(answer.best, &run.cells[0]);
  EXPECT_FALSE(time_ratio(run.cells[1], run.cells[0]).has_value());
  EXPECT_THAT(answer.notes, ::testing::Contains(HasSubstr("wider format")));
}

TEST(Recommendation, for_each_size_the_fastest_that_fits) {
  MeasuredRun run = run_of({cell("fp32", "none", 1, {40, 40}, 30 * gb), cell("fp32", "every-2", 1, {60, 60}, 14 * gb),
                            cell("bf16", "every-2", 1, {90, 90}, 9 * gb), cell("bf16", "none", 8, {95, 95}, 20 * gb)});
  run.environment["memory_bytes"] = 13 * gb;
  const Answer answer = answered(run);
  std::vector<const Cell*> chosen;
  for (const Fit& fit : answer.fits) chosen.push_back(fit.cell);
  const Cell *large = &run.cells[0], *middle = &run.cells[1], *small = &run.cells[2];
  EXPECT_EQ(chosen, (std::vector<const Cell*>{nullptr, small, middle, middle, large, large,
                                              small}));  // 8 12 16 24 40 80 GB, this machine
  EXPECT_EQ(answer.fits[0].smallest_bytes, 9 * gb);
  EXPECT_EQ(answer.frontier,
            (std::vector<const Cell*>{small, middle, large}));  // the fourth is beaten in both by the second
}

TEST(Recommendation, one_round_gives_no_interval_and_says_so) {
  const MeasuredRun run = run_of({cell("fp32", "none", 1, {100}, gb), cell("bf16", "none", 1, {50}, gb)});
  EXPECT_THAT(answered(run).sentence,
              ::testing::AllOf(HasSubstr("No sure answer from one round"), HasSubstr("2.00× the speed"),
                               HasSubstr("no interval"), Not(HasSubstr("(2.00"))));
}

// The fastest that was seen is only called recommended where the sentence advises it.
TEST(Recommendation, is_settled_only_where_the_sentence_advises_the_fastest) {
  const auto settled = [](std::vector<double> ms, std::int64_t bytes) {
    return answered(
               run_of({cell("fp32", "none", 1, {50, 51, 50}, 10 * gb), cell("bf16", "none", 1, std::move(ms), bytes)}))
        .settled;
  };
  EXPECT_TRUE(settled({30, 31, 30}, 11 * gb));
  EXPECT_TRUE(settled({60, 61, 60}, 6 * gb));  // the reference itself
  EXPECT_TRUE(settled({49, 51, 49.5}, 6 * gb));  // for its memory
  EXPECT_FALSE(settled({49, 50, 50}, 11 * gb));  // the reference is to be kept
  EXPECT_FALSE(settled({20, 51, 70}, 6 * gb));  // no answer yet
  EXPECT_FALSE(answered(run_of({cell("fp32", "none", 1, {100}, gb), cell("bf16", "none", 1, {50}, gb)})).settled);
}

TEST(Recommendation, a_gain_within_the_noise_is_told_from_noise_that_hides_everything) {
  const auto smaller = [](std::vector<double> ms) {
    return run_of({cell("fp32", "none", 1, {50, 51, 50}, 10 * gb), cell("bf16", "none", 1, std::move(ms), 6 * gb)});
  };
  EXPECT_THAT(answered(smaller({49, 51, 49.5})).sentence,
              ::testing::AllOf(HasSubstr("for its memory: 40 % less"), HasSubstr("cannot tell from equal")));
  EXPECT_THAT(answered(smaller({20, 51, 70})).sentence, HasSubstr("No answer yet"));
}

// 50 / 51 of the best in the middle, from below it to above it; the third is slower in every round.
TEST(Recommendation, a_rival_whose_time_is_not_told_apart_is_named_with_its_memory) {
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 102, 98}, 10 * gb), cell("bf16", "none", 4, {50, 51, 49}, 6 * gb),
              cell("bf16", "none", 1, {49, 53, 51}, 9 * gb), cell("bf16", "Block", 4, {70, 72, 69}, 5 * gb)});
  EXPECT_THAT(answered(run).notes, ::testing::Contains(::testing::AllOf(
                                       HasSubstr("The speed of bf16 none ×4 is not told apart from that of one other: "
                                                 "bf16 none ×1 at 0.98× ("),
                                       HasSubstr("with 50 % more memory"), Not(HasSubstr("Block")))));
}

TEST(Recommendation, another_model_is_no_alternative) {
  // Two models: the smaller one is ten times as fast, which is no reason to take it.
  std::vector<Cell> cells{cell("fp32", "none", 1, {100, 101}, 10 * gb), cell("bf16", "none", 1, {50, 50.5}, 6 * gb),
                          cell("fp32", "none", 1, {10, 10.1}, gb), cell("bf16", "none", 1, {5, 5.1}, gb / 2)};
  for (std::size_t i = 0; i < cells.size(); ++i) {
    Record& record = cells[i].record;
    record.axes["hidden"] = i < 2 ? 64 : 32;
    record.id += i < 2 ? "-hidden-64" : "-hidden-32";
    record.numerics.reference += i < 2 ? "-hidden-64" : "-hidden-32";
    if (record.id == record.numerics.reference) record.numerics.gradient_error.reset();
  }
  const MeasuredRun run = run_of(std::move(cells));
  const Answer answer = answered(run);
  EXPECT_EQ(answer.best, &run.cells[1]);
  EXPECT_EQ(answer.frontier, std::vector<const Cell*>{&run.cells[1]});
  EXPECT_THAT(answer.notes, ::testing::Contains(HasSubstr("2 of 4 cells train another model")));
  EXPECT_EQ(techniques_of(run, Names(run), run.cells[0]).back().axis, "hidden");  // its effect is told all the same
}

TEST(Recommendation, a_disturbed_machine_is_told_first) {
  MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 120, 150}, 10 * gb), cell("bf16", "none", 4, {50, 60, 75}, 6 * gb)});
  run.cells[0].visits[0].disturbance.disturbed = run.cells[1].visits[1].disturbance.disturbed = true;
  EXPECT_THAT(answered(run).notes.at(0), HasSubstr("2 of 6 timed visits were disturbed"));
}

TEST(Recommendation, an_unfinished_run_says_how_to_go_on) {
  MeasuredRun run = run_of({cell("bf16", "none", 1, {50, 50}, gb)});
  run.cells[0].record.numerics.gradient_error.reset();  // its reference has not been measured
  run.environment["command"] = "stepscope run m.toml --out r";
  EXPECT_THAT(answered(run).sentence,
              ::testing::AllOf(HasSubstr("not finished"), HasSubstr("stepscope run m.toml --out r")));
}

TEST(Recommendation, nothing_measured_is_said) {
  MeasuredRun run = run_of({cell("fp32", "none", 1, {}, gb)});
  EXPECT_THAT(answered(run).sentence, HasSubstr("nothing to recommend"));
}

TEST(Comparison, an_effect_is_measured_with_everything_else_equal) {
  // Accumulation costs a factor of 1.1 in each precision, and bf16 halves the time with each accumulation.
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 110}, 10 * gb), cell("fp32", "none", 4, {110, 121}, 5 * gb),
              cell("bf16", "none", 1, {50, 55}, 6 * gb), cell("bf16", "none", 4, {55, 60.5}, 3 * gb)});
  const std::vector<TechniqueEffect> effects = techniques_of(run, Names(run), run.cells[0]);
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_EQ(effects[0].axis, "precision");
  EXPECT_NEAR(effects[0].time->middle, 0.5, 1e-9);
  EXPECT_NEAR(effects[0].memory, 0.6, 1e-9);
  EXPECT_EQ(effects[1].to, "×4");
  EXPECT_EQ(effects[1].effects.size(), 2u);
  EXPECT_NEAR(effects[1].time->middle, 1.1, 1e-9);
  EXPECT_NEAR(effects[1].memory, 0.5, 1e-9);
  EXPECT_FALSE(effects[0].interaction || effects[1].interaction);
}

// Only fp16 has a loss scale: that is no second difference from fp32, and no part of a name.
TEST(Comparison, what_belongs_to_a_precision_is_no_difference_of_its_own) {
  MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 101, 99}, 10 * gb), cell("fp16", "none", 1, {50, 51, 49}, 6 * gb)});
  run.cells[1].record.axes["loss_scale"] = 65536.0;
  const Names names(run);
  EXPECT_EQ(names.label(run.cells[1].record), "fp16 none ×1");
  const std::vector<TechniqueEffect> effects = techniques_of(run, names, run.cells[0]);
  ASSERT_EQ(effects.size(), 1u);
  EXPECT_EQ(effects[0].to, "fp16");
  run.cells.push_back(run.cells[1]);
  run.cells[2].record.id += "-other";
  run.cells[2].record.axes["loss_scale"] = 1024.0;
  EXPECT_EQ(Names(run).label(run.cells[2].record), "fp16 none ×1 loss_scale 1024.0");
}

TEST(Comparison, an_interaction_is_reported_where_it_is_real) {
  // bf16 gains nothing with four micro-batches.
  const MeasuredRun run =
      run_of({cell("fp32", "none", 1, {100, 110, 105}, gb), cell("fp32", "none", 4, {100, 110, 105}, gb),
              cell("bf16", "none", 1, {50, 55, 52.5}, gb), cell("bf16", "none", 4, {100, 110, 105}, gb)});
  const std::vector<TechniqueEffect> effects = techniques_of(run, Names(run), run.cells[0]);
  ASSERT_TRUE(effects[0].interaction.has_value());
  EXPECT_EQ(effects[0].effects[effects[0].interaction->first].held, "none ×1");
}

TEST(Comparison, a_price_is_time_over_bytes_freed) {
  const std::int64_t gib = std::int64_t{1} << 30;
  const MeasuredRun run = run_of({cell("fp32", "none", 1, {100}, 5 * gib), cell("fp32", "every-2", 1, {130}, 3 * gib),
                                  cell("fp32", "every-3", 1, {130}, 5 * gib)});
  EXPECT_NEAR(price_ms_per_gib(run, run.cells[1]).value(), 15, 1e-9);
  EXPECT_FALSE(price_ms_per_gib(run, run.cells[2]).has_value());  // nothing freed
  EXPECT_FALSE(price_ms_per_gib(run, run.cells[0]).has_value());
}

TEST(Comparison, times_are_per_token) {
  MeasuredRun run = run_of({cell("fp32", "none", 1, {100, 100}, gb), cell("fp32", "none", 2, {100, 100}, gb)});
  run.cells[1].record.tokens_per_step = 2000;
  EXPECT_NEAR(time_ratio(run.cells[1], run.cells[0])->middle, 0.5, 1e-12);
}

}  // namespace
}  // namespace stepscope
