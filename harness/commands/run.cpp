// stepscope run: every cell of a matrix, measured. Failed cells are results, and the status is 0; it is 3 where the machine failed
// (crash, timeout, device error) and not a single cell was measured.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/coordinator.h"
#include "harness/device.h"
#include "harness/interrupt.h"
#include "model/base/error.h"
#include "reports/report.h"

namespace stepscope {

namespace {

struct RunCommand {
  ConfigurationOptions configuration;
  std::string out, only, shard, precision, device = "cpu";
  double time_limit_seconds = 0;
  bool fast = false, untuned = false;
  int threads = 0, most_rounds = 30;
};

std::string command_line(const RunCommand& command) {
  const char* glue = command.out.starts_with('-') ? "=" : " ";
  std::string line =
      fmt::format("stepscope run {} --out{}{}", command.configuration.as_arguments(), glue, shell_quoted(command.out));
  if (!command.only.empty()) line += " --only " + command.only;
  if (!command.shard.empty()) line += " --shard " + command.shard;
  if (command.time_limit_seconds > 0) line += fmt::format(" --time-limit {:g}", command.time_limit_seconds);
  if (!command.precision.empty())
    line += fmt::format(" --precision {} --most-rounds {}", command.precision, command.most_rounds);
  if (command.fast) line += " --fast";
  if (command.untuned) line += " --untuned";
  if (command.device != "cpu") line += " --device " + command.device;
  if (command.threads > 0) line += fmt::format(" --threads {}", command.threads);
  return line;
}

bool machine_failed(const std::map<Outcome, int>& outcomes) {
  const auto any = [&](std::initializer_list<Outcome> of) {
    return std::any_of(of.begin(), of.end(), [&](Outcome outcome) { return outcomes.contains(outcome); });
  };
  return !any({Outcome::ok, Outcome::unverified, Outcome::diverged}) &&
         any({Outcome::crashed, Outcome::timeout, Outcome::device_error});
}

struct Shard {
  int index = 1, count = 1;
};

// "2/4": the second of four parts.
Shard shard_of(const std::string& text, std::size_t cells) {
  if (text.empty()) return {};
  Shard shard;
  const char *const begin = text.data(), *const end = begin + text.size();
  const auto [slash, first] = std::from_chars(begin, end, shard.index);
  const bool divided = first == std::errc{} && slash != end && *slash == '/';
  const auto [last, second] = std::from_chars(divided ? slash + 1 : end, end, shard.count);
  if (!divided || second != std::errc{} || last != end || shard.index < 1 || shard.index > shard.count)
    throw UsageError(fmt::format("--shard {}: I/N is needed, the I-th of N parts, as 2/4", text));
  if (shard.count > static_cast<int>(cells))
    throw UsageError(fmt::format("--shard {}: the matrix has {} cells, so at most as many parts", text, cells));
  return shard;
}

// "1%" is 0.01; 0 for "".
double precision_of(const std::string& text) {
  if (text.empty()) return 0;
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc{} || std::string_view(end, text.data() + text.size()) != "%" ||
      !(percent >= 0.01 && percent <= 50))
    throw UsageError(fmt::format("--precision {}: a share from 0.01% to 50% is needed, as 1%", text));
  return percent / 100;
}

void run(const RunCommand& command) {
  const double precision = precision_of(command.precision);
  Matrix matrix = command.configuration.read();
  const Shard shard = shard_of(command.shard, matrix.cells.size());
  if (command.fast) matrix.measure.rounds = 1;
  watch_interrupts();
  const Machine this_machine = machine_seen_by_child(command.device, command.threads);
  const KeptCalibration calibration = calibration_of_run(command.out, this_machine);
  const Machine machine = with_rates(this_machine, calibration);
  Coordinator coordinator({.matrix = std::move(matrix),
                           .out = command.out,
                           .machine = machine,
                           .only = command.only,
                           .shard = shard.index,
                           .shards = shard.count,
                           .time_limit_seconds = command.time_limit_seconds,
                           .precision = precision,
                           .most_rounds = command.most_rounds,
                           .command = command_line(command),
                           .arguments = command.configuration.as_arguments(),
                           .words = command.configuration.as_words(),
                           .tunes = !command.untuned,
                           .calibration = calibration});
  const RunEnd end = coordinator.run();
  for (const std::string& note : end.notes) fmt::print("note: {}\n", note);
  if (end.interrupted) {
    fmt::print("stopped; go on with: {}\n", command_line(command));
    throw ExitStatus{interrupted_status};
  }
  std::string outcomes;
  for (const auto& [outcome, count] : end.outcomes)
    outcomes += fmt::format("{}{} {}", outcomes.empty() ? "" : ", ", count, name_of(outcome));
  fmt::print("cells: {}\n{}\nreport: stepscope report {}\n", outcomes, report_on(read_run(command.out)).sentence,
             shell_quoted(command.out));
  if (machine_failed(end.outcomes))
    throw MachineError(fmt::format("no cell was measured ({}); {} has the logs of the workers", outcomes,
                                   (std::filesystem::path(command.out) / "cells").string()));
}

}  // namespace

void add_run(CLI::App& app) {
  auto command = std::make_shared<RunCommand>();
  CLI::App& sub = *app.add_subcommand(
      "run", "measure every cell of a matrix; a killed run resumes; status 3 if no cell could be measured");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--out", command->out, "folder of the run, new or to go on with")->type_name("RUN")->required();
  CLI::Option* only = sub.add_option("--only", command->only, "one cell, and its reference")->type_name("CELL");
  sub.add_option("--shard", command->shard,
                 "the I-th of N parts of the matrix, each with its references; merge joins them")
      ->type_name("I/N")
      ->excludes(only);
  sub.add_option("--time-limit", command->time_limit_seconds, "seconds: lowers rounds, then learning steps")
      ->type_name("S")
      ->check(above_zero("seconds"));
  CLI::Option* precision =
      sub.add_option("--precision", command->precision,
                     "as 1%: rounds are added until no step time's 95 % interval reaches farther from it")
          ->type_name("P%");
  sub.add_option("--most-rounds", command->most_rounds, "with --precision")
      ->type_name("N")
      ->check(CLI::Range(2, 1000))
      ->needs(precision)
      ->capture_default_str();
  sub.add_flag("--fast", command->fast, "one round: drift is then not controlled")->excludes(precision);
  add_device_option(sub, command->device);
  sub.add_flag("--untuned", command->untuned, "a card's matmuls take the library's first answers; nothing is measured");
  add_threads_option(sub, command->threads);
  sub.callback([command] { run(*command); });
}

}  // namespace stepscope
