// stepscope plan: what every cell of a matrix needs, before anything runs.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "harness/calibrate.h"
#include "harness/choices.h"
#include "harness/commands/commands.h"
#include "harness/commands/fits.h"
#include "harness/commands/frontier.h"
#include "harness/commands/options.h"
#include "harness/commands/prices.h"
#include "harness/device.h"
#include "harness/kept_times.h"
#include "harness/planned.h"
#include "harness/simulated_device.h"
#include "model/base/error.h"
#include "model/program/print.h"
#include "profiles/cards.h"
#include "reports/calibration.h"
#include "reports/format.h"

namespace stepscope {

namespace {

struct PlanCommand {
  ConfigurationOptions configuration;
  std::string cell, budget, card, device = "cpu", trace, largest;
  bool json = false, dump = false, prices = false, frontier = false;
  int threads = 0;
};

std::string bytes(std::int64_t count) { return format_bytes(static_cast<double>(count)); }

// "yes, 1.2 GiB left"; without a card or budget the limit is this machine's memory, of which others take their part.
std::string fits(const PlannedCell& planned, bool margin) {
  const Record& record = planned.record;
  const std::int64_t left = planned.limit_bytes - record.bytes.predicted_peak;
  if (record.outcome == Outcome::planned) return margin ? fmt::format("yes, {} left", bytes(left)) : "yes";
  if (record.outcome == Outcome::does_not_fit) return fmt::format("no, {} short", bytes(-left));
  return fmt::format("{}: {}", name_of(record.outcome), record.reason);
}

// What predicts the times of steps, and what that is called: a card, else this machine by what runs on it measured.
struct TimesFrom {
  std::optional<TimeModel> model = {};
  std::string title = {};  // of the column
  std::string source = {};
};

void print_header(std::size_t width, const TimesFrom& times) {
  fmt::print("{:<{}} {:>12} {:>11} {:>12} {:>11} {:>11} {:>10} {:>10}  {}fits\n", "cell", width, "parameters", "state",
             "largest live", "arena", "peak", "GFLOP/step", "recomputed",
             times.model ? fmt::format("{:>21}  ", times.title) : "");
}

void print_row(const PlannedCell& planned, std::size_t width, bool margin) {
  const Record& record = planned.record;
  const double launched = static_cast<double>(record.flops.launched);
  const double share = launched > 0 ? static_cast<double>(record.flops.recomputed) / launched : 0;
  const std::string time =
      record.predicted_time ? fmt::format("{:>21}  ", format_time(record.predicted_time->step_ns)) : "";
  fmt::print("{:<{}} {:>12} {:>11} {:>12} {:>11} {:>11} {:>10.1f} {:>9.1f}%  {}{}\n", record.id, width,
             format_count(static_cast<double>(record.parameters)), bytes(record.bytes.state),
             bytes(record.bytes.largest_live), bytes(record.bytes.arena), bytes(record.bytes.predicted_peak),
             launched * 1e-9, 100 * share, time, fits(planned, margin));
}

// What lies in host memory, what crosses the link in a step, and how long the step waits for it.
void print_host(const PlannedCell& planned) {
  if (!planned.record.bytes.host) return;
  const HostBytes& host = *planned.record.bytes.host;
  std::string wait = "the rate of the card's link is not known (host_bandwidth)";
  if (planned.record.predicted_time && planned.record.predicted_time->copy_wait_ns)
    wait = fmt::format("waits {} for them", format_time(*planned.record.predicted_time->copy_wait_ns));
  else if (planned.record.device.kind == "cpu")
    wait = "on a CPU host memory is the same memory: nothing is won";
  fmt::print("  host memory: states {}, arena {}; a step copies {} to it and {} from it; {}\n", bytes(host.state),
             bytes(host.arena), bytes(host.copied_to), bytes(host.copied_from), wait);
}

// The card's roofline where one is named, else what this machine's operations took, else its own roofline, else nothing.
TimesFrom times_for(const std::optional<Card>& card, const Machine& machine) {
  if (card) return {TimeModel{.ceilings = *card}, "roofline of " + card->name, "roofline of " + card->name};
  KeptTimes kept = kept_times(machine);
  if (kept.times) return {kept.times->model, "by measured times", source_in_words(*kept.times)};
  if (!kept.note.empty()) fmt::print(stderr, "note: {}\n", kept.note);
  const KeptCalibration calibrated = kept_calibration(machine);
  if (!calibrated.calibration) return {};
  return {TimeModel{.ceilings = card_of(*calibrated.calibration)}, "by its roofline", "roofline of this machine"};
}

void price(const std::vector<MatrixCell>& cells, const Machine& machine, const TimesFrom& times, bool json) {
  if (!times.model)
    throw UsageError(
        fmt::format("--prices: times are needed: name a card with --card, or measure this machine with stepscope "
                    "devices --calibrate ({})",
                    kept_calibration(machine).note));
  for (const MatrixCell& cell : cells) {
    const Prices prices = prices_of_cell(cell, machine, *times.model);
    if (json)
      print_prices_json(cell.id, times.source, prices);
    else
      print_prices(cell.id, times.source, prices);
  }
}

// One for each mix of fields beside checkpointing.
void show_frontier(const std::vector<MatrixCell>& cells, const Machine& machine, const MemoryFit& fit, bool json) {
  const Choices choices = choices_of(cells, machine, cells.size());
  for (const ChoiceGroup& group : choices.groups)
    json ? print_frontier_json(choices.times_of, group, fit)
         : print_frontier(choices.times_of, group, fit, machine.kind == Machine::Kind::cuda);
  if (!json) print_fit(fit);
}

void find_largest_of(const std::vector<MatrixCell>& cells, const Dimension& dimension, const Machine& machine,
                     const MemoryFit& fit, bool json) {
  std::size_t width = 4;
  for (const MatrixCell& cell : cells) width = std::max(width, cell.id.size());
  if (!json) print_fit(fit), print_largest_header(dimension, width);
  for (const MatrixCell& cell : cells) {
    if (!cell.excluded_by.empty()) continue;
    const Largest largest = largest_of_cell(cell, dimension, machine, fit);
    if (json)
      print_largest_json(cell.id, dimension, largest, fit);
    else
      print_largest(cell.id, largest, width);
  }
  if (!json) fmt::print("{}: {}\n", dimension.name, dimension.about);
}

void plan(const PlanCommand& command) {
  std::optional<CardFile> file;
  if (!command.card.empty()) file = find_card(command.card);
  const Dimension* dimension = command.largest.empty() ? nullptr : &dimension_named(command.largest);
  std::optional<Card> card;
  if (file) card = file->card;
  if (!command.trace.empty() && !card)
    throw UsageError(
        fmt::format("--trace {}: a plan has only a card's times: name one with --card, or measure with "
                    "stepscope step --trace",
                    command.trace));
  const Matrix matrix = command.configuration.read();
  Machine machine = machine_on(command.device, command.threads);
  if (card) machine = simulated(machine, *card);
  if (is_simulated(machine)) card = machine.rates;
  const std::int64_t budget = command.budget.empty() ? 0 : parse_bytes(command.budget, "--budget");
  std::vector<MatrixCell> cells = matrix.cells;
  if (!command.cell.empty()) cells = {matrix.cell(command.cell)};
  if (!command.trace.empty() && cells.size() > 1)
    throw UsageError(
        fmt::format("--trace {}: one file for {} cells; --cell ID chooses one", command.trace, cells.size()));
  const MemoryFit fit = file ? fit_on_card(*file, budget) : fit_here(machine, budget);
  machine = with_memory(machine, fit);
  if (dimension != nullptr) return find_largest_of(cells, *dimension, machine, fit, command.json);
  if (command.frontier) return show_frontier(cells, machine, fit, command.json);
  const TimesFrom times = times_for(card, machine);
  if (command.prices) return price(cells, machine, times, command.json);
  std::size_t width = 4;
  for (const MatrixCell& cell : cells) width = std::max(width, cell.id.size());
  for (const MatrixCell& cell : cells) {
    const std::string which = command.configuration.matrix.empty() ? "" : " --cell " + cell.id;
    const PlanOptions options{.fit = &fit,
                              .repeat = fmt::format("stepscope step {}{}", command.configuration.as_arguments(), which),
                              .card = card ? &*card : nullptr,
                              .times = times.model ? &*times.model : nullptr,
                              .times_source = times.source};
    const PlannedCell planned = plan_cell(cell, machine, options);
    if (!command.trace.empty()) write_planned_trace(command.trace, planned, *card);
    if (command.dump) {
      fmt::print("# {}\n{}", cell.id, print(planned.step.program, planned.step.plan));
    } else if (command.json) {
      print_plan_json(planned, fit);
    } else {
      if (&cell == &cells.front()) print_header(width, times);
      print_row(planned, width, card || budget > 0);
      print_host(planned);
    }
  }
  if (!command.dump && !command.json) print_fit(fit);
  if (times.model && !card && !command.json && !command.dump) fmt::print("times: {}\n", times.source);
}

}  // namespace

void add_plan(CLI::App& app) {
  auto command = std::make_shared<PlanCommand>();
  CLI::App& sub = *app.add_subcommand("plan", "every cell of a matrix: bytes, FLOPs, whether it fits; nothing runs");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--cell", command->cell, "only this cell")->type_name("ID");
  sub.add_option(
         "--budget", command->budget,
         "memory there is, as 24GiB, in place of the card's or this machine's. Of a card: for the whole process, "
         "context and libraries too; else for states and arena")
      ->type_name("SIZE");
  CLI::Option* card =
      sub.add_option(
             "--card", command->card,
             "whether a step fits this card, and its time there: a name (devices --cards) or a file; default: this "
             "machine, timed by what operations took in its runs, else by its calibration")
          ->type_name("NAME");
  add_device_option(sub, command->device)->excludes(card);
  CLI::Option* trace = sub.add_option("--trace", command->trace,
                                      "the step as the card would at best run it, for ui.perfetto.dev; needs --card")
                           ->type_name("FILE.json.gz");
  CLI::Option* prices =
      sub.add_flag("--prices", command->prices,
                   "what each activation and each checkpointing target frees and costs, the cheapest first");
  CLI::Option* frontier =
      sub.add_flag(
             "--frontier", command->frontier,
             "what checkpointing can do: the fastest step for every number of bytes, and where named values stand")
          ->excludes(prices)
          ->excludes(trace);
  CLI::Option* dump = sub.add_flag("--dump", command->dump, "print the program of each cell, one line an operation");
  std::string about = "the largest value of a field that fits, found by planning, for each cell";
  for (const Dimension& dimension : dimensions()) about += fmt::format("; {}: {}", dimension.name, dimension.about);
  sub.add_option("--largest", command->largest, about)
      ->type_name("batch|sequence|layers|hidden")
      ->excludes(prices)
      ->excludes(frontier)
      ->excludes(dump)
      ->excludes(trace);
  add_json_option(sub, command->json);
  add_threads_option(sub, command->threads);
  sub.callback([command] { plan(*command); });
}

}  // namespace stepscope
