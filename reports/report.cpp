#include "reports/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/format.h"
#include "reports/sections.h"
#include "reports/simulated.h"
#include "reports/writers.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

std::string environment_text(const MeasuredRun& run, const char* key) {
  const auto found = run.environment.find(key);
  return found != run.environment.end() && found->is_string() ? found->get<std::string>() : "";
}

// "1,024", or "1,024 to 4,096" where cells differ.
std::string span_of(const MeasuredRun& run, std::int64_t Record::*quantity) {
  const auto [least, most] = std::minmax_element(run.cells.begin(), run.cells.end(), [&](const Cell& a, const Cell& b) {
    return a.record.*quantity < b.record.*quantity;
  });
  const auto text = [&](const Cell& cell) { return format_count(static_cast<double>(cell.record.*quantity)); };
  const std::int64_t low = (*least).record.*quantity, high = (*most).record.*quantity;
  return low == high ? text(*least) : fmt::format("{} to {}", text(*least), text(*most));
}

std::string machine_of(const MeasuredRun& run, const Device& device) {
  if (device.kind == "simulated") return device.name;
  if (device.kind != "cpu") return fmt::format("{} ({})", device.name, device.kind);
  const auto threads = run.environment.find("threads");
  if (threads == run.environment.end() || !threads->is_number_integer()) return device.name;
  return fmt::format("{}, {} thread{}", device.name, threads->get<int>(), *threads == 1 ? "" : "s");
}

void add_facts(Report& report, const MeasuredRun& run) {
  const Record& first = run.cells.front().record;
  const auto add = [&](const char* name, std::string text) {
    if (!text.empty()) report.facts.emplace_back(name, std::move(text));
  };
  add("model", environment_text(run, "model"));
  add("parameters", span_of(run, &Record::parameters));
  add("tokens a step", span_of(run, &Record::tokens_per_step));
  add("data", environment_text(run, "data"));
  add("machine", machine_of(run, first.device));
  const auto all = run.cells.size();
  const auto good = std::ranges::count_if(run.cells, [](const Cell& cell) { return verified(cell.record); });
  const auto shown = std::ranges::count_if(run.cells, [](const Cell& cell) { return may_show_time(cell.record); });
  add("cells", fmt::format("{} of {} measured and verified", good, all));
  if (shown > good)
    add("costed", fmt::format("{} of {}: their times are costs, nothing was computed", shown - good, all));
  add("time", environment_text(run, "time"));
}

// Published results keep records without visits: a report made of them would lack half and take the place of the whole one.
void require_visits(const MeasuredRun& run, const fs::path& folder) {
  for (const Cell& cell : run.cells) {
    const std::optional<int> there = cell.visits_left();
    if (!there) continue;
    throw UsageError(
        fmt::format("{}: its record tells of {} timed visits, but {} visit files are there; a report needs them",
                    (folder / "cells" / cell.record.id).string(), cell.record.step_time_ns->visits, *there));
  }
}

}  // namespace

Report report_on(const MeasuredRun& run) {
  const Analysis analysis(run);
  Report report{.title = fmt::format("stepscope: {}", run.name), .sentence = analysis.answer.sentence};
  add_facts(report, run);
  report.sections = {answer_section(analysis),   time_memory_section(analysis), techniques_section(analysis),
                     cells_section(analysis),    memory_section(analysis),      time_section(analysis),
                     learning_section(analysis), prediction_section(analysis),  trust_section(analysis)};
  if (ReportSection choices = choices_section(analysis); !choices.blocks.empty())
    report.sections.insert(report.sections.begin() + 3, std::move(choices));  // beside techniques
  return is_simulated(run) ? in_words_of_simulation(std::move(report), is_costed(run)) : report;
}

void write_document(const Report& report, const fs::path& folder) {
  const fs::path figures = folder / "figures";
  fs::remove_all(figures);  // a figure that this run no longer has must not stay from an earlier one
  fs::create_directories(figures);
  for (const ReportSection& section : report.sections) {
    for (const Block& block : section.blocks) {
      if (block.kind != Block::Kind::figure) continue;
      write_atomically(figures / (block.figure.name + ".csv"), csv_of(block.figure.columns, block.figure.rows));
    }
  }
  write_atomically(folder / "report.md", report_markdown(report));
  write_atomically(folder / "report.json", report_json(report));
}

int write_report(const fs::path& run_folder) {
  const MeasuredRun run = read_run(run_folder);
  require_visits(run, run_folder);
  write_document(report_on(run), run_folder / "report");
  write_atomically(run_folder / "report" / "cells.csv", cells_csv(run));
  return 0;
}

}  // namespace stepscope
