// What a report makes of a run's choices: curves, prices, what fits which memory, and that a run without them still reports.
#include "reports/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/choice_groups.h"
#include "reports/figures.h"
#include "reports/report.h"
#include "tests/reports/synthetic_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

class ReportedChoices : public TemporaryFolder {
 protected:
  MeasuredRun read(const SyntheticRun& synthetic = {.choices = true}) {
    return read_run(synthetic.write(folder / "run"));
  }
};

const ReportSection* section_of(const Report& report, const std::string& id) {
  const auto found = std::ranges::find(report.sections, id, &ReportSection::id);
  return found == report.sections.end() ? nullptr : &*found;
}

const Table* table_of(const ReportSection& section, const std::string& name) {
  const auto found = std::ranges::find_if(section.blocks, [&](const Block& block) { return block.table.name == name; });
  return found == section.blocks.end() ? nullptr : &found->table;
}

std::string texts_of(const ReportSection& section) {
  std::string text;
  for (const Block& block : section.blocks) text += block.text + "\n";
  return text;
}

// The rows of a figure of one kind, by column.
std::vector<std::map<std::string, std::string>> rows_of(const Figure& figure, const std::string& kind) {
  std::vector<std::map<std::string, std::string>> rows;
  for (const auto& values : figure.rows) {
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < values.size(); ++i) row[figure.columns[i]] = values[i];
    if (row["kind"] == kind) rows.push_back(std::move(row));
  }
  return rows;
}

TEST_F(ReportedChoices, rungs_go_down_from_end_to_end_and_each_is_what_its_value_gives) {
  for (const int members : {1, 2, 3, 9, 200}) {
    std::vector<FrontierRow> frontier;
    for (int i = 0; i < members; ++i)
      frontier.push_back(
          {.value = "budget:" + std::to_string(100 - i / 2) + "MiB", .peak_bytes = 1'000'000 - 900 * i * i / members});
    const std::vector<std::size_t> rungs = rungs_of(frontier, 8);
    ASSERT_FALSE(rungs.empty());
    EXPECT_EQ(rungs.front(), 0u);
    EXPECT_EQ(frontier[rungs.back()].value, frontier.back().value);
    EXPECT_LE(rungs.size(), 9u);
    for (std::size_t k = 0; k < rungs.size(); ++k) {
      if (k > 0) {
        EXPECT_LT(frontier[rungs[k]].peak_bytes, frontier[rungs[k - 1]].peak_bytes);
      }
      EXPECT_EQ(std::ranges::find(frontier, frontier[rungs[k]].value, &FrontierRow::value) - frontier.begin(),
                static_cast<std::ptrdiff_t>(rungs[k]));
    }
  }
  EXPECT_TRUE(rungs_of({}).empty());
}

TEST_F(ReportedChoices, curve_falls_in_bytes_as_time_grows_and_both_scales_are_against_keeping_everything) {
  MeasuredRun run = read();
  const auto figure_of = [](const MeasuredRun& of) {
    const Analysis analysis(of);
    return *frontier_figure(analysis, *groups_in_order(analysis).front());
  };
  const Figure figure = figure_of(run);
  std::int64_t bytes = 0;
  double ratio = 0;
  for (auto& row : rows_of(figure, "curve")) {
    if (bytes > 0) {
      EXPECT_LT(std::stoll(row["peak_bytes"]), bytes);
    }
    EXPECT_GE(std::stod(row["ratio"]), ratio);
    bytes = std::stoll(row["peak_bytes"]);
    ratio = std::stod(row["ratio"]);
  }
  EXPECT_EQ(rows_of(figure, "dominated").size(), 3u);
  ASSERT_EQ(rows_of(figure, "measured").size(), 4u);  // of the product: four values of checkpointing
  for (const char* kind : {"named", "measured"})
    for (auto& row : rows_of(figure, kind))
      if (row["value"] == "none") {
        EXPECT_EQ(std::stod(row["ratio"]), 1) << kind;
      }
  for (ChoiceGroup& group :
       run.choices->groups)  // another machine's speeds: nothing of it is on the scale of measured times
    for (auto* rows : {&group.frontier, &group.dominated})
      for (FrontierRow& row : *rows) row.step_ns *= 8;
  const Figure scaled = figure_of(run);
  for (const char* kind : {"curve", "measured", "dominated"}) {
    auto before = rows_of(figure, kind), after = rows_of(scaled, kind);
    ASSERT_EQ(before.size(), after.size());
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i]["ratio"], after[i]["ratio"]) << kind;
  }
}

TEST_F(ReportedChoices, the_recommended_group_comes_first_and_the_section_says_what_to_write) {
  const MeasuredRun run = read();
  const Analysis analysis(run);
  const std::vector<const ChoiceGroup*> groups = groups_in_order(analysis);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_NE(std::ranges::find(groups.front()->cells, analysis.best()->record.id), groups.front()->cells.end());
  const Report report = report_on(run);
  const ReportSection* section = section_of(report, "choices");
  ASSERT_NE(section, nullptr);
  const Table* rungs = table_of(*section, "budgets_to_write");
  ASSERT_NE(rungs, nullptr);
  EXPECT_EQ(rungs->rows.front()[1].text, "checkpointing = \"none\"");
  EXPECT_EQ(rungs->rows.front()[3].text, "nothing");
  EXPECT_THAT(rungs->rows.back()[1].text, HasSubstr("checkpointing = \"budget:"));
  EXPECT_EQ(rungs->rows.back()[3].text, "mlp gelu");
  EXPECT_EQ(table_of(*section, "dominated")->rows.size(), 3u);
  const std::string text = texts_of(*section);
  EXPECT_THAT(text, HasSubstr("Free, as making it again takes no time: blocks.*.mlp.norm y."));
  EXPECT_THAT(text, HasSubstr("Not keeping attention frees nothing: the peak does not move."));
  EXPECT_EQ(table_of(*section, "prices")->rows.size(), 6u);
  for (const ReportSection& each : report.sections)
    for (const Block& block : each.blocks) {
      for (const auto& row : block.table.rows) EXPECT_EQ(row.size(), block.table.columns.size()) << block.table.name;
      for (const auto& row : block.figure.rows) EXPECT_EQ(row.size(), block.figure.columns.size()) << block.figure.name;
    }
}

TEST_F(ReportedChoices, what_fits_everywhere_is_one_sentence) {
  const Report report = report_on(read());
  const ReportSection* answer = section_of(report, "answer");
  EXPECT_EQ(table_of(*answer, "cards"), nullptr);
  EXPECT_EQ(table_of(*answer, "fits"), nullptr);
  EXPECT_THAT(texts_of(*answer), HasSubstr("fits every memory size known here, from 8 GB on"));
}

TEST_F(ReportedChoices, each_card_gets_the_fastest_mix_that_fits_it) {
  MeasuredRun run = read();
  const std::int64_t beside = 1'000'000;
  run.choices->cards = std::vector<CardMemory>{};
  for (std::int64_t bytes = 40'000'000; bytes < 160'000'000; bytes += 1'000'000)
    run.choices->cards->push_back({"", std::to_string(bytes), bytes, beside, true});
  const Analysis analysis(run);
  std::vector<CardFit> fits = card_fits(analysis);
  if (!analysis.answer.fits.empty() && analysis.answer.fits.back().this_machine) fits.pop_back();
  std::size_t cards = 0;
  double slower = 1e300;
  for (const CardFit& fit : fits) {
    cards += fit.cards.size();
    if (fit.group == nullptr) {
      EXPECT_EQ(&fit, &fits.front());
      EXPECT_LT(fit.margin_bytes(), 0);
      continue;
    }
    EXPECT_GE(fit.margin_bytes(), 0);
    EXPECT_LE(fit.step_ns, slower);  // more memory, never a slower step
    slower = fit.step_ns;
    EXPECT_EQ(fit.beside_bytes, beside);
  }
  EXPECT_EQ(cards, run.choices->cards->size());
  ASSERT_GT(fits.size(), 3u);
  EXPECT_EQ(fits.front().group, nullptr);
  EXPECT_EQ(fits.back().row, nullptr);  // the recommended cell itself, as it was measured
  EXPECT_EQ(fits.back().step_ns, analysis.best()->record.step_time_ns->median);
  const Report report = report_on(run);
  const Table* table = table_of(*section_of(report, "answer"), "cards");
  ASSERT_NE(table, nullptr);
  EXPECT_THAT(table->rows.front()[1].text, HasSubstr("the least of all needs more"));
  EXPECT_THAT(table->rows[1][2].text, HasSubstr("budget:"));
}

TEST_F(ReportedChoices, a_run_without_them_reports_and_one_of_an_earlier_version_too) {
  EXPECT_EQ(section_of(report_on(read({})), "choices"), nullptr);
  std::filesystem::remove_all(folder / "run");
  Choices choices = read().choices.value();
  choices.cards.reset();
  for (ChoiceGroup& group : choices.groups)
    for (FrontierRow& row : group.frontier) row.repeated.reset();
  write_choices(folder / "run" / "choices.json", choices);
  nlohmann::ordered_json json = nlohmann::ordered_json::parse(read_file(folder / "run" / "choices.json"));
  json.erase("cards");
  for (auto& group : json["groups"])
    for (auto& row : group["frontier"]) row.erase("repeated");
  std::ofstream(folder / "run" / "choices.json") << json.dump();
  const Report report = report_on(read_run(folder / "run"));
  ASSERT_NE(section_of(report, "choices"), nullptr);
  EXPECT_EQ(table_of(*section_of(report, "choices"), "budgets_to_write")->rows.back()[3].text, "–");
  EXPECT_EQ(write_report(folder / "run"), 0);
}

TEST_F(ReportedChoices, sizes_and_times_that_cannot_be_are_refused) {
  Choices choices{.times_of = "here", .cards = std::vector<CardMemory>{{.name = "l4", .memory_bytes = 1 << 30}}};
  choices.groups.push_back({.title = "fp32",
                            .state_bytes = 10,
                            .frontier = {{.value = "none", .peak_bytes = 20, .step_ns = 1}},
                            .prices = {{.target = "gelu", .freed_bytes = -3, .added_ns = 1}}});
  const std::filesystem::path file = folder / "choices.json";
  write_choices(file, choices);
  EXPECT_EQ(read_choices(file).groups.front().prices.front().freed_bytes, -3);
  const auto spoiled = [&](auto&& spoil) {
    Choices bad = choices;
    spoil(bad);
    write_choices(file, bad);
    EXPECT_THROW((void)read_choices(file), UsageError);
  };
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  spoiled([](Choices& bad) { bad.groups[0].frontier[0].peak_bytes = most; });
  spoiled([](Choices& bad) { bad.groups[0].frontier[0].peak_bytes = -1; });
  spoiled([](Choices& bad) { bad.groups[0].frontier[0].step_ns = std::nan(""); });
  spoiled([](Choices& bad) { bad.groups[0].prices[0].freed_bytes = -most - 1; });
  spoiled([](Choices& bad) { bad.groups[0].prices[0].added_ns = std::nan(""); });
  spoiled([](Choices& bad) { bad.groups[0].state_bytes = most; });
  spoiled([](Choices& bad) { bad.cards->front().beside_bytes = -most; });
}

TEST_F(ReportedChoices, pages_draw_them) {
  (void)read();
  ASSERT_EQ(write_report(folder / "run"), 0);
  for (const char* name : {"frontier", "frontiers", "prices"})
    EXPECT_TRUE(std::filesystem::exists(folder / "run" / "report" / "figures" / (std::string(name) + ".csv"))) << name;
}

TEST_F(ReportedChoices, budgets_have_readable_names_and_say_what_they_chose) {
  EXPECT_EQ(short_value("checkpointing", "budget:60%"), "budget 60 %");
  EXPECT_EQ(short_value("checkpointing", "budget:2560MiB"), "budget 2560 MiB");
  EXPECT_EQ(short_value("checkpointing", "budget:auto"), "budget auto");
  EXPECT_EQ(short_value("checkpointing", "MLPBlock+AttentionBlock"), "MLP+Attn");
  EXPECT_EQ(choice_setting("MLPBlock+AttentionBlock"), "checkpointing = [\"MLPBlock\", \"AttentionBlock\"]");
  EXPECT_EQ(repeated_text({{"blocks.*.attention attention", 3, 4},
                           {"blocks.*.mlp.norm layer_norm", 4, 4},
                           {"embedding embedding", 1, 1}}),
            "attention (3 of 4), mlp.norm layer_norm, embedding");
  MeasuredRun run = read();
  run.cells[1].record.budget =
      BudgetRecord{.limit_bytes = 70 << 20, .times_of = "a card", .repeated = {{"blocks.*.mlp gelu", 4, 4}}};
  const Report report = report_on(run);
  const Table* budgets = table_of(*section_of(report, "cells"), "budgets");
  ASSERT_NE(budgets, nullptr);
  ASSERT_EQ(budgets->rows.size(), 1u);
  EXPECT_EQ(budgets->rows[0][1].text, "70.00 MiB");
  EXPECT_EQ(budgets->rows[0][3].text, "mlp gelu");
  EXPECT_EQ(budgets->rows[0][4].text, "a card");
}

}  // namespace
}  // namespace stepscope
