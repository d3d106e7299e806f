// stepscope compare: two runs side by side, what differed around them first; the exit status says whether something got worse.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/run_files.h"
#include "model/base/file.h"
#include "reports/comparison.h"
#include "reports/comparison_page.h"
#include "reports/format.h"
#include "reports/run_folder.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

struct CompareCommand {
  std::string a, b, out;
  bool json = false;
};

constexpr int measured_regression = 1;

std::string time_of(const Record& record) { return has_time(record) ? format_time(record.step_time_ns->median) : "-"; }

std::string memory_of(const CellComparison& cell) {
  if (!cell.time || cell.more_bytes() == 0) return cell.time ? "equal" : "";
  return (cell.more_bytes() > 0 ? "+" : "−") + format_bytes(std::abs(as_double(cell.more_bytes())));
}

void print_cells(const RunComparison& comparison) {
  std::size_t width = 4;
  for (const CellComparison& cell : comparison.cells) width = std::max(width, cell.label.size());
  fmt::print("{:<{}} {:>10} {:>10} {:>20}  {:<16} {}\n", "cell", width, "before", "after", "after / before", "verdict",
             "memory");
  for (const CellComparison& cell : comparison.cells)
    fmt::print("{:<{}} {:>10} {:>10} {:>20}  {:<16} {}\n", cell.label, width, time_of(cell.a->record),
               time_of(cell.b->record), cell.time ? format_ratio(cell.time->ratio) : "", verdict_in_words(cell),
               memory_of(cell));
}

void print_text(const RunComparison& comparison) {
  for (const EnvironmentDifference& one : comparison.environment)
    fmt::print("{:<14} {} → {}\n", one.what, one.a, one.b);
  if (!comparison.environment.empty()) fmt::print("\n");
  const auto list = [](const std::vector<const Cell*>& cells, const char* which) {
    for (const Cell* cell : cells) fmt::print("only {}: {}\n", which, cell->record.id);
  };
  list(comparison.only_a, "before");
  list(comparison.only_b, "after");
  if (!comparison.cells.empty()) print_cells(comparison);
  fmt::print("{}\n", sentence_of(comparison));
  if (comparison.against_sentinel)
    fmt::print("one program made both runs: times are taken against the reference cell's, which shows the machine\n");
  else if (!comparison.same_program)
    fmt::print("the programs differ: a machine that was slower during one run counts as its program's\n");
}

nlohmann::ordered_json json_of(const CellComparison& cell) {
  nlohmann::ordered_json json{{"before", cell.a->record.id},
                              {"after", cell.b->record.id},
                              {"label", cell.label},
                              {"ratio", nullptr},
                              {"p", nullptr},
                              {"verdict", verdict_in_words(cell)},
                              {"more_bytes", nullptr}};
  if (!cell.time) return json;
  const Interval& ratio = cell.time->ratio;
  json["ratio"] = {{"middle", ratio.middle}, {"low", nullptr}, {"high", nullptr}};
  if (ratio.low) json["ratio"]["low"] = *ratio.low, json["ratio"]["high"] = *ratio.high;
  if (cell.time->p) json["p"] = *cell.time->p;
  json["more_bytes"] = cell.more_bytes();
  return json;
}

nlohmann::ordered_json json_of(const RunComparison& comparison) {
  nlohmann::ordered_json json{{"schema", "stepscope.comparison/1"},
                              {"sentence", sentence_of(comparison)},
                              {"regression", comparison.has_regression()},
                              {"same_program", comparison.same_program},
                              {"against_reference", comparison.against_sentinel}};
  for (const char* list : {"environment", "cells", "only_before", "only_after"})
    json[list] = nlohmann::ordered_json::array();
  for (const EnvironmentDifference& one : comparison.environment)
    json["environment"].push_back({{"what", one.what}, {"before", one.a}, {"after", one.b}});
  for (const CellComparison& cell : comparison.cells) json["cells"].push_back(json_of(cell));
  for (const Cell* cell : comparison.only_a) json["only_before"].push_back(cell->record.id);
  for (const Cell* cell : comparison.only_b) json["only_after"].push_back(cell->record.id);
  return json;
}

void compare(const CompareCommand& command) {
  const MeasuredRun a = read_run(command.a), b = read_run(command.b);
  const RunComparison comparison = compare_runs(a, b);
  if (!command.out.empty()) {
    open_out_folder(command.out, "comparison.json", "comparison");
    write_atomically(fs::path(command.out) / "comparison.json", json_of(comparison).dump(1) + "\n");
    write_comparison(a, b, comparison, command.out);
  }
  command.json ? fmt::print("{}\n", json_of(comparison).dump()) : print_text(comparison);
  if (!command.out.empty() && !command.json) fmt::print("{}\n", page_of(command.out));
  if (comparison.has_regression()) throw ExitStatus{measured_regression};
}

}  // namespace

void add_compare(CLI::App& app) {
  auto command = std::make_shared<CompareCommand>();
  CLI::App& sub = *app.add_subcommand(
      "compare", "two runs, cell by cell: slower, faster, same or undecided; exit status 1 where something got worse");
  sub.add_option("before", command->a, "a run's folder")->type_name("RUN")->required();
  sub.add_option("after", command->b, "the other run's folder")->type_name("RUN")->required();
  sub.add_option("--out", command->out, "folder for a page of it: index.html, report.md, figures")->type_name("DIR");
  add_json_option(sub, command->json);
  sub.callback([command] { compare(*command); });
}

}  // namespace stepscope
