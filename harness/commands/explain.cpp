// stepscope explain: why one cell is slower or bigger than another, part by part, down to a residual; the parts sum to the difference.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/nearest.h"
#include "reports/comparison.h"
#include "reports/document.h"
#include "reports/explanation.h"
#include "reports/format.h"
#include "reports/run_comparison.h"
#include "reports/simulated.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

struct ExplainCommand {
  std::string run, a, b, cell, csv;
  bool json = false, all = false;
};

struct Side {
  std::string name;
  const Cell* cell = nullptr;
};

constexpr std::size_t shown_parts = 12;

// A cell's id, or the beginning of one alone.
const Cell& cell_named(const MeasuredRun& run, const std::string& id, const std::string& folder) {
  if (const Cell* exact = run.find(id)) return *exact;
  std::vector<const Cell*> begun;
  std::vector<std::string> ids;
  for (const Cell& cell : run.cells) {
    ids.push_back(cell.record.id);
    if (cell.record.id.starts_with(id)) begun.push_back(&cell);
  }
  if (begun.size() == 1) return *begun.front();
  if (begun.size() > 1)
    throw UsageError(fmt::format("{}: {} cells begin so: {}, {} ...; name one of them", id, begun.size(),
                                 begun[0]->record.id, begun[1]->record.id));
  const std::string near = nearest(id, ids);
  throw UsageError(fmt::format("{}: {} has no such cell{}", id, folder,
                               near.empty() ? std::string("; its cells are in cells/") : "; the nearest is " + near));
}

std::string signed_time(double ns) { return (ns > 0 ? "+" : ns < 0 ? "−" : "") + format_time(std::abs(ns)); }

std::string name_of_part(const Contribution& part) {
  std::string name = part.phase;
  for (const std::string* word : {&part.site, &part.operation})
    if (!word->empty()) name += (name.empty() ? "" : " ") + *word;
  return name;
}

std::string csv_of_parts(const Explanation& why) {
  std::vector<std::vector<std::string>> rows;
  for (const Contribution& part : why.contributions)
    rows.push_back(
        {"time", part.phase, part.site, part.operation, raw(part.a_ns), raw(part.b_ns), raw(part.difference_ns())});
  rows.push_back({"time", "", "", "residual", "", "", raw(why.residual_ns)});
  for (const auto& [name, bytes] : why.by_category_bytes)
    rows.push_back({"bytes", "", "", name, "", "", std::to_string(bytes)});
  return csv_of({"of", "phase", "site", "part", "a", "b", "difference"}, rows);
}

void print_time(const Explanation& why, bool all) {
  const auto row = [](const std::string& name, const std::string& a, const std::string& b, double difference) {
    fmt::print("  {:<44} {:>10} {:>10} {:>12}\n", name, a, b, signed_time(difference));
  };
  fmt::print("time of a step\n  {:<44} {:>10} {:>10} {:>12}\n", "part", "a", "b", "b − a");
  if (all) {
    for (const Contribution& part : why.contributions)
      row(name_of_part(part), format_time(part.a_ns), format_time(part.b_ns), part.difference_ns());
  } else {
    for (const WaterfallStep& step : grouped(why, shown_parts)) row(step.name, "", "", step.difference_ns);
  }
  row("residual", "", "", why.residual_ns);
  row("sum", "", "", why.difference_ns);
  if (!why.explains)
    fmt::print(
        "  the residual is larger than the difference: the profiled visits tell of noise, the parts mean "
        "nothing\n");
  else if (why.residual_is_large)
    fmt::print("  the residual, what profiled visits did otherwise than timed ones, is above 2 % of the difference\n");
}

void print_bytes(const Explanation& why) {
  fmt::print("bytes at the predicted peak\n");
  const auto row = [](const std::string& name, std::int64_t bytes) {
    fmt::print("  {:<44} {:>34}\n", name, format_count(as_double(bytes)));
  };
  for (const auto& [name, bytes] : why.by_category_bytes)
    if (bytes != 0) row(name, bytes);
  row("sum", why.difference_bytes);
}

void print_json(const Side& a, const Side& b, const Explanation& why) {
  nlohmann::ordered_json json{{"schema", "stepscope.explanation/1"},
                              {"a", a.cell->record.id},
                              {"b", b.cell->record.id},
                              {"difference_ns", why.difference_ns},
                              {"residual_ns", why.residual_ns},
                              {"explains", why.explains},
                              {"parts", nlohmann::ordered_json::array()},
                              {"difference_bytes", why.difference_bytes},
                              {"bytes", nlohmann::ordered_json::object()}};
  for (const Contribution& part : why.contributions)
    json["parts"].push_back({{"phase", part.phase},
                             {"site", part.site},
                             {"operation", part.operation},
                             {"a_ns", part.a_ns},
                             {"b_ns", part.b_ns}});
  for (const auto& [name, bytes] : why.by_category_bytes) json["bytes"][name] = bytes;
  fmt::print("{}\n", json.dump());
}

void explain_cells(const ExplainCommand& command, const Side& a, const Side& b) {
  const std::optional<Explanation> why = explain(*a.cell, *b.cell);
  if (!why)
    throw UsageError(fmt::format("{} and {}: both need a time and a profiled visit, and {} has none", a.name, b.name,
                                 a.cell->record.step_time_ns && profile_of(*a.cell) ? b.name : a.name));
  if (!command.csv.empty()) write_atomically(command.csv, csv_of_parts(*why));
  if (command.json) return print_json(a, b, *why);
  if (a.cell->record.device.kind == "simulated") fmt::print("simulated, no hardware ran this\n");
  fmt::print("a: {}, {}\nb: {}, {}\n", a.name, format_time(a.cell->record.step_time_ns->median), b.name,
             format_time(b.cell->record.step_time_ns->median));
  print_time(*why, command.all);
  print_bytes(*why);
}

// The only cell that two runs have in common, or that which --cell names.
CellComparison common_cell(const RunComparison& comparison, const ExplainCommand& command, const MeasuredRun& run) {
  if (!command.cell.empty()) {
    const Cell& named = cell_named(run, command.cell, command.run);
    for (const CellComparison& cell : comparison.cells)
      if (cell.a == &named) return cell;
    throw UsageError(fmt::format("--cell {}: {} has no cell with these axes", command.cell, command.a));
  }
  if (comparison.cells.size() == 1) return comparison.cells.front();
  throw UsageError(fmt::format("{} and {} have {} cells in common: --cell ID names one", command.run, command.a,
                               comparison.cells.size()));
}

void explain_command(const ExplainCommand& command) {
  if (!command.csv.empty())
    if (const std::string why = what_hinders_writing(command.csv); !why.empty())
      throw UsageError(fmt::format("--csv {}: cannot be written: {}", command.csv, why));
  const MeasuredRun run = read_run(command.run);
  if (!command.b.empty()) {
    if (!command.cell.empty()) throw UsageError("--cell is for two runs; here two cells of one run are named");
    const Cell &a = cell_named(run, command.a, command.run), &b = cell_named(run, command.b, command.run);
    return explain_cells(command, {a.record.id, &a}, {b.record.id, &b});
  }
  if (!fs::is_directory(command.a))
    throw UsageError(fmt::format("{}: two cells of {} are needed, or another run's folder", command.a, command.run));
  const MeasuredRun other = read_run(command.a);
  require_alike(run, other);
  const CellComparison cell = common_cell(compare_runs(run, other), command, run);
  explain_cells(command, {fmt::format("{} of {}", cell.label, command.run), cell.a},
                {fmt::format("{} of {}", cell.label, command.a), cell.b});
}

}  // namespace

void add_explain(CLI::App& app) {
  auto command = std::make_shared<ExplainCommand>();
  CLI::App& sub = *app.add_subcommand(
      "explain", "why one cell takes longer or more memory than another: parts that sum to the difference exactly");
  sub.add_option("run", command->run, "a run's folder")->type_name("RUN")->required();
  sub.add_option("a", command->a, "a cell of it, or another run's folder")->type_name("CELL|RUN")->required();
  sub.add_option("b", command->b, "the cell that is held against it")->type_name("CELL");
  sub.add_option("--cell", command->cell, "of two runs: which cell; the beginning of its id is enough")
      ->type_name("ID");
  sub.add_flag("--all", command->all, "every phase, layer and operation by itself");
  sub.add_option("--csv", command->csv, "every part, also as a table")->type_name("FILE");
  add_json_option(sub, command->json);
  sub.callback([command] { explain_command(*command); });
}

}  // namespace stepscope
