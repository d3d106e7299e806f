// Step times predicted from other cells: what is left out is not seen, what is learned is said, and files tell what is wrong in them.
#include "reports/prediction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/sections.h"
#include "tests/reports/synthetic_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

void slow_down(Cell& cell, double factor) {
  if (cell.record.step_time_ns) cell.record.step_time_ns->median *= factor;
  for (Visit& visit : cell.visits) {
    for (double& step : visit.step_time_ns) step *= factor;
    for (SpanSum& span : visit.spans) span.time_ns *= factor;
    if (!visit.operations) continue;
    for (TimedWork& row : *visit.operations) row.time_ns *= factor * (1 + static_cast<double>(row.work.bytes % 7));
  }
}

class Prediction : public TemporaryFolder {
 protected:
  MeasuredRun read(const SyntheticRun& synthetic = {}) { return read_run(synthetic.write(folder / "run")); }
};

TEST_F(Prediction, a_cell_is_predicted_without_having_been_seen) {
  const MeasuredRun run = read();
  const std::vector<std::optional<PredictedStep>> before = predict_left_out(run);
  ASSERT_EQ(before.size(), run.cells.size());
  int predicted = 0, moved = 0;
  for (std::size_t c = 0; c < run.cells.size(); ++c) {
    if (!before[c]) continue;
    ++predicted;
    MeasuredRun poisoned = run;
    slow_down(poisoned.cells[c], 1000);
    const std::vector<std::optional<PredictedStep>> after = predict_left_out(poisoned);
    EXPECT_EQ(after[c]->time_ns, before[c]->time_ns) << run.cells[c].record.id;
    EXPECT_EQ(after[c]->measured_share, before[c]->measured_share);
    for (std::size_t other = 0; other < run.cells.size(); ++other)
      moved += other != c && before[other] && after[other]->time_ns != before[other]->time_ns ? 1 : 0;
  }
  EXPECT_EQ(predicted, 16);  // the product; not what crashed, did not fit or was excluded
  EXPECT_GT(moved, 0);  // it is seen by the others
}

TEST_F(Prediction, the_model_without_a_cell_is_that_of_a_run_that_never_had_it) {
  const MeasuredRun run = read();
  for (const std::size_t c : {std::size_t{0}, std::size_t{7}, std::size_t{15}}) {
    MeasuredRun without = run;
    without.cells.erase(without.cells.begin() + static_cast<std::ptrdiff_t>(c));
    const std::optional<TimeModelFile> left_out = learn_times(run, run.cells[c].record.id),
                                       never = learn_times(without);
    ASSERT_TRUE(left_out && never);
    EXPECT_EQ(left_out->sources.front().cells, never->sources.front().cells);
    EXPECT_EQ(left_out->model.between_ns, never->model.between_ns);
    EXPECT_EQ(left_out->timed_over_profiled, never->timed_over_profiled);
    ASSERT_EQ(left_out->model.operations.size(), never->model.operations.size());
    for (std::size_t i = 0; i < never->model.operations.size(); ++i) {
      EXPECT_EQ(left_out->model.operations[i].work, never->model.operations[i].work);
      EXPECT_EQ(left_out->model.operations[i].time_ns, never->model.operations[i].time_ns);
    }
  }
}

TEST_F(Prediction, without_noise_it_is_right_but_for_what_lies_between) {
  const MeasuredRun run = read({.noise = 0, .drift = 0, .failures = false});
  const LeftOutError error = *left_out_error(run);
  EXPECT_EQ(error.cells, 16);
  EXPECT_LT(error.worst, 0.031);  // between operations lie 3 % of each step there, learned as one time
  EXPECT_LE(error.median, error.worst);
  EXPECT_GT(*error.rank_correlation, 0.95);
  for (const Cell& cell : run.cells) EXPECT_EQ(cell.record.predicted_time->measured_share, 1.0) << cell.record.id;
}

// A profiled visit that was slow throughout divides its step as a quick one does.
TEST_F(Prediction, a_profile_says_how_a_step_divides_and_not_how_long_it_is) {
  const MeasuredRun run = read({.noise = 0, .drift = 0});
  MeasuredRun slow = run;
  for (Cell& cell : slow.cells) {
    for (Visit& visit : cell.visits) {
      if (visit.kind != VisitKind::profiled) continue;
      for (double& step : visit.step_time_ns) step *= 3;
      for (TimedWork& row : *visit.operations) row.time_ns *= 3;
    }
  }
  const TimeModelFile quick = *learn_times(run), slowed = *learn_times(slow);
  EXPECT_NEAR(slowed.timed_over_profiled, quick.timed_over_profiled / 3, 1e-9);
  for (std::size_t i = 0; i < quick.model.operations.size(); ++i)
    EXPECT_NEAR(slowed.model.operations[i].time_ns / quick.model.operations[i].time_ns, 1, 1e-9);
}

TEST_F(Prediction, without_calibration_or_profiles_nothing_is_predicted_and_the_report_says_why) {
  MeasuredRun run = read();
  for (Cell& cell : run.cells) cell.record.predicted_time.reset();
  const std::string reason = prediction_section(Analysis(run)).blocks.at(0).text;
  EXPECT_THAT(reason, HasSubstr("No step time was predicted"));
  run.calibration.reset();
  EXPECT_FALSE(learn_times(run));
  EXPECT_THAT(prediction_section(Analysis(run)).blocks.at(0).text, HasSubstr("--calibrate"));
  std::filesystem::remove(folder / "run" / "calibration.json");
  EXPECT_FALSE(publish_predictions(folder / "run"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run" / "time_model.json"));
}

TEST_F(Prediction, the_report_shows_every_cell_and_says_what_the_times_are_from) {
  (void)SyntheticRun{.rounds = 2}.write(folder / "run");
  const TimeModelFile times = *publish_predictions(folder / "run");
  const MeasuredRun run = read_run(folder / "run");
  ASSERT_TRUE(run.times);
  const ReportSection section = prediction_section(Analysis(run));
  std::size_t rows = 0, points = 0;
  std::string words;
  for (const Block& block : section.blocks) {
    words += block.text + "\n";
    if (block.table.name == "predicted") rows = block.table.rows.size();
    if (block.kind == Block::Kind::figure)
      points = static_cast<std::size_t>(std::count_if(block.figure.rows.begin(), block.figure.rows.end(),
                                                      [](const auto& row) { return row[0] == "cell"; }));
  }
  EXPECT_EQ(rows, 16u);
  EXPECT_EQ(points, 16u);
  EXPECT_THAT(words, HasSubstr("from the operations of the other cells alone"));
  EXPECT_THAT(words, HasSubstr("rank correlation"));
  EXPECT_THAT(words, HasSubstr("16 cells of run (commit simulated"));
  EXPECT_EQ(times.left_out_error->cells, 16);
}

TEST(PairOrder, counts_pairs_that_are_clearly_apart) {
  MeasuredRun run;
  const auto add = [&](const std::string& id, double predicted, double measured) {
    Cell cell;
    cell.record.id = id;
    cell.record.outcome = Outcome::ok;
    cell.record.numerics.reference = id;
    cell.record.step_time_ns = StepTime{.median = measured, .visits = 1};
    cell.record.predicted_time = PredictedTime{.step_ns = predicted};
    run.cells.push_back(cell);
  };
  add("a", 100, 100);
  add("b", 105, 90);  // within 10 % of a: no pair
  add("c", 120, 130);
  add("d", 150, 120);  // before c, predicted after it
  const OrderOfPairs order = order_of_pairs(run);
  EXPECT_EQ(order.pairs, 5);  // ac ad bc bd cd
  EXPECT_EQ(order.in_order, 4);
  EXPECT_NEAR(left_out_error(run)->median, (105.0 / 90 - 1 + (1 - 120.0 / 130)) / 2, 1e-12);
  EXPECT_EQ(left_out_error(run)->worst_cell, "d");
}

class TimeModelFiles : public Prediction {
 protected:
  TimeModelFiles() : run(read()), times(*learn_times(run)), file(folder / "time_model.json") {}

  void expect_refused(const std::function<void(nlohmann::ordered_json&)>& spoil, const std::string& said) {
    write_time_model(file, times);
    nlohmann::ordered_json json = nlohmann::ordered_json::parse(read_file(file));
    spoil(json);
    write_atomically(file, json.dump());
    try {
      (void)read_time_model(file);
      ADD_FAILURE() << "was read: " << said;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), HasSubstr(said));
      EXPECT_THAT(error.what(), HasSubstr(file.string()));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }

  MeasuredRun run;
  TimeModelFile times;
  std::filesystem::path file;
};

TEST_F(TimeModelFiles, are_read_as_they_were_written) {
  times.left_out_error = LeftOutError{.cells = 3, .median = 0.02, .worst = 0.1, .worst_cell = "x"};
  write_time_model(file, times);
  const TimeModelFile back = read_time_model(file);
  EXPECT_EQ(back.key, times.key);
  EXPECT_EQ(back.sources.front().commit, "simulated");
  EXPECT_EQ(back.left_out_error->worst_cell, "x");
  ASSERT_EQ(back.model.operations.size(), times.model.operations.size());
  for (const auto& [c, cell] : {std::pair{0, &run.cells[0]}, std::pair{9, &run.cells[9]}}) {
    for (const Visit& visit : cell->visits) {
      if (!visit.operations) continue;
      EXPECT_EQ(predicted_step(back.model, *visit.operations).time_ns,
                predicted_step(times.model, *visit.operations).time_ns);
    }
  }
  const nlohmann::ordered_json json = nlohmann::ordered_json::parse(read_file(file));
  EXPECT_NEAR(json["operations"][0]["efficiency"].get<double>(), times.model.operations[0].efficiency(), 1e-12);
}

TEST_F(TimeModelFiles, spoiled_ones_are_one_line) {
  expect_refused([](auto& json) { json["schema"] = "stepscope.time_model/9"; }, "stepscope.time_model/9");
  expect_refused([](auto& json) { json["operations"] = nlohmann::ordered_json::array(); }, "at least one operation");
  expect_refused([](auto& json) { json["operations"][2]["time_ns"] = -1; }, "operations.2.time_ns");
  expect_refused([](auto& json) { json["operations"][1]["time_ns"] = nullptr; }, "operations.1.time_ns");
  expect_refused([](auto& json) { json["operations"][1]["source"] = 7; }, "operations.1.source");
  expect_refused([](auto& json) { json["operations"][0].erase("flops"); }, "operations.0.flops");
  expect_refused([](auto& json) { json["operations"][2]["time_ns"] = 1e300; }, "operations.2.time_ns");
  expect_refused([](auto& json) { json["operations"][2]["floor_ns"] = -1; }, "operations.2.floor_ns");
  expect_refused([](auto& json) { json["operations"][2]["floor_ns"] = 5e-324; }, "operations.2.floor_ns");
  expect_refused([](auto& json) { json["ceilings"]["levels"][0]["bandwidth"] = 0; }, "ceilings.levels");
  expect_refused([](auto& json) { json["ceilings"]["levels"][0]["bytes"] = -5; }, "ceilings.levels");
  expect_refused([](auto& json) { json["operations"][2]["bytes"] = -1; }, "operations.2.bytes");
  expect_refused([](auto& json) { json["operations"][2]["runs"] = 0; }, "operations.2.runs");
  expect_refused([](auto& json) { json["between_ns"] = -3; }, "between_ns");
  expect_refused([](auto& json) { json["between_ns"] = 1e200; }, "between_ns");
  expect_refused([](auto& json) { json["ceilings"]["fp32_flops"] = 1e300; }, "ceilings.fp32_flops");
  expect_refused([](auto& json) { json["ceilings"]["bandwidth"] = 0; }, "ceilings.bandwidth");
  write_atomically(folder / "run" / "time_model.json", "{\"schema\":");
  EXPECT_THROW((void)read_run(folder / "run"), UsageError);
}

TEST_F(TimeModelFiles, what_a_newer_run_did_not_measure_stays_with_its_source) {
  TimeModelFile older = times, newer = times;
  older.sources.front().run = "older";
  MeasuredOperation only_old = older.model.operations[0], both = older.model.operations[1];
  only_old.work.operands = "fp32[1] > fp32[1]";
  both.time_ns *= 9;
  older.model.operations = {only_old, both};
  const TimeModelFile together = joined(newer, older);
  ASSERT_EQ(together.model.operations.size(), newer.model.operations.size() + 1);
  EXPECT_EQ(together.model.operations.back().work, only_old.work);
  EXPECT_EQ(together.sources[static_cast<std::size_t>(together.model.operations.back().source)].run, "older");
  EXPECT_EQ(together.model.operations[1].time_ns, newer.model.operations[1].time_ns);
  EXPECT_EQ(joined(together, older).model.operations.size(), together.model.operations.size());
  older.key.threads = 64;
  EXPECT_EQ(joined(newer, older).model.operations.size(), newer.model.operations.size());
}

}  // namespace
}  // namespace stepscope
