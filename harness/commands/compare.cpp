// stepscope compare: two runs side by side, what differed around them first; the exit status says whether something got worse.
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/interrupt.h"
#include "harness/run_files.h"
#include "harness/self_test.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/comparison.h"
#include "reports/comparison_page.h"
#include "reports/format.h"
#include "reports/run_folder.h"
#include "reports/simulated.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

struct CompareCommand {
  std::string a, b, out;
  bool json = false, self_test = false;
  int pairs = 20, threads = 0;
  std::vector<double> added_work = {0, 0.02, 0.05};
};

constexpr int measured_regression = 1;

struct TemporaryRuns {
  fs::path folder;
  ~TemporaryRuns() {
    std::error_code error;
    fs::remove_all(folder, error);
  }
};

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

// In a folder that is removed whatever happens.
void test_itself(const CompareCommand& command) {
  const Machine machine = machine_of(command.threads);
  std::string pattern = (fs::temp_directory_path() / "stepscope-self-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw MachineError(fmt::format("{}: no folder can be made there", fs::temp_directory_path().string()));
  const TemporaryRuns runs{pattern};
  watch_interrupts();
  const std::optional<SelfTest> test =
      run_self_test({.machine = machine, .folder = pattern, .pairs = command.pairs, .extra_work = command.added_work},
                    [&](const std::string& line) {
                      if (command.json) return;
                      fmt::print("{}\n", line);
                      std::fflush(stdout);
                    });
  if (!test) throw ExitStatus{interrupted_status};
  const std::string why_not = keep_self_test(machine, *test);
  if (!why_not.empty()) fmt::print(stderr, "note: not kept for reports: {}\n", why_not);
  if (command.json)
    fmt::print("{}\n", to_json(*test).dump());
  else
    fmt::print("{}\n", in_words(*test));
}

void compare(const CompareCommand& command) {
  if (command.self_test) {
    if (!command.a.empty() || !command.out.empty())
      throw UsageError("--self-test makes runs of its own: no RUN and no --out with it");
    return test_itself(command);
  }
  if (command.b.empty()) throw UsageError("compare: two runs' folders are needed, before and after");
  const MeasuredRun a = read_run(command.a), b = read_run(command.b);
  require_alike(a, b);
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
  sub.add_option("before", command->a, "a run's folder")->type_name("RUN");
  sub.add_option("after", command->b, "the other run's folder")->type_name("RUN");
  sub.add_option("--out", command->out, "folder for a page of it: index.html, report.md, figures")->type_name("DIR");
  CLI::Option* self_test = sub.add_flag(
      "--self-test", command->self_test,
      "measure how often this is wrong here: pairs of equal runs, and with 2 % and 5 % more work; reports then say so");
  sub.add_option("--pairs", command->pairs, "of the self-test, for each of the three")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->needs(self_test)
      ->capture_default_str();
  sub.add_option("--added-work", command->added_work, "of the self-test: shares of a step's time, 0 for equal runs")
      ->type_name("SHARE")
      ->check(CLI::Range(0.0, 1.0))
      ->needs(self_test)
      ->capture_default_str();
  add_threads_option(sub, command->threads);
  add_json_option(sub, command->json);
  sub.callback([command] { compare(*command); });
}

}  // namespace stepscope
