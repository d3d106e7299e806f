// stepscope advise: which mix to use for a model on a card or this machine; with --measure the best ones are run, and the answer corrected.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "harness/advise.h"
#include "harness/advise_measure.h"
#include "harness/calibrate.h"
#include "harness/commands/advice.h"
#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/device.h"
#include "harness/kept_times.h"
#include "harness/session.h"
#include "model/base/error.h"

namespace stepscope {

namespace {

struct AdviseCommand {
  ConfigurationOptions configuration;
  std::string card, device = "cpu", budget, out;
  int measure = 0, threads = 0;
  bool json = false;
};

// Techniques that the matrix file has values of, in its order: they are not what is asked.
std::string set_aside(const Matrix& matrix, const std::set<std::string>& pinned) {
  std::vector<std::string> names;
  for (const Technique& technique : techniques()) {
    const std::string name(technique.name);
    if (!pinned.contains(name) && std::any_of(matrix.cells.begin(), matrix.cells.end(),
                                              [&](const MatrixCell& cell) { return cell.given->contains(name); }))
      names.push_back(name);
  }
  if (names.empty()) return "";
  return fmt::format("what {} says of {} is set aside, every value is tried; --set fixes one", matrix.file,
                     fmt::join(names, ", "));
}

// The cells' models and training, each once: a file's own values of techniques are what is being asked for.
std::vector<MatrixCell> bases_of(const Matrix& matrix, const std::set<std::string>& pinned) {
  std::vector<MatrixCell> bases;
  std::set<std::string> met;
  for (const MatrixCell& cell : matrix.cells) {
    Assignments given = *cell.given;
    for (const Technique& technique : techniques())
      if (!pinned.contains(std::string(technique.name))) given.erase(std::string(technique.name));
    MatrixCell base;
    base.configuration = resolve(given);
    base.id = cell_id(base.configuration);
    base.given = std::make_shared<const Assignments>(std::move(given));
    if (met.insert(base.id).second) bases.push_back(std::move(base));
  }
  return bases;
}

AdviceRequest on_card(AdviceRequest request, const CardFile& card, std::int64_t budget_bytes) {
  request.fit = fit_on_card(card, budget_bytes);
  request.machine.context_bytes = 0;
  request.machine = with_memory(simulated(request.machine, card.card), request.fit);
  request.times = roofline_source(
      card.card,
      fmt::format("the roofline of {}, as its peaks at best allow; a real step takes longer", card.card.name));
  return request;
}

// The known card with the least memory on which even the smallest mix fits; none: no card is that large.
std::optional<CardFile> smallest_card_for(const Mix& smallest) {
  std::optional<CardFile> best;
  for (CardFile& card : known_cards()) {
    const bool fits = fit_on_card(card, 0).margin_bytes(smallest.needs.state_bytes, smallest.needs.arena_bytes) >= 0;
    const auto bytes = [](const CardFile& file) { return fit_on_card(file, 0).memory.bytes; };
    if (fits && (!best || bytes(card) < bytes(*best))) best = std::move(card);
  }
  return best;
}

std::vector<AdvisedChange> changes_of(const MatrixCell& base, const AdviceRequest& request, const Advice& before) {
  std::vector<AdvisedChange> changes;
  AdviceRequest one = request;
  one.runners_up = 0;
  const auto ask = [&](std::string what, const MatrixCell& cell, const AdviceRequest& how) {
    changes.push_back({std::move(what), Adviser(cell, how).search()});
  };
  AdviceRequest larger = one;
  larger.fit.memory.bytes += std::int64_t{4} << 30;
  larger.machine.memory_bytes = larger.fit.memory.bytes;
  if (request.budget != "budget:auto") larger.budget = fmt::format("budget:{}B", larger.fit.memory.bytes);
  ask("4 GiB more", base, larger);
  const auto same = [&](const Advice& found) {
    return !found.mixes.empty() && !before.mixes.empty() && found.mixes.front().values == before.mixes.front().values;
  };
  if (same(changes.back().advice)) {  // then less is what may change it
    AdviceRequest smaller = one;
    smaller.fit.memory.bytes /= 2;
    smaller.machine.memory_bytes = smaller.fit.memory.bytes;
    if (request.budget != "budget:auto") smaller.budget = fmt::format("budget:{}B", smaller.fit.memory.bytes);
    ask("half the memory", base, smaller);
  }
  const std::int64_t twice = 2 * base.configuration.training.sequence;
  std::map<std::string, Choice> longer{{"sequence", twice}};
  const bool beyond = twice > base.configuration.model.max_sequence;
  if (beyond) longer.emplace("max_sequence", twice);
  if (mask_file_of(base.configuration.model).empty())
    ask(fmt::format("rows of {} tokens{}", twice, beyond ? ", of a model made for as many" : ""),
        cell_with(base, longer), one);
  if (to_string(field_named("attention", "").get(base.configuration)) == "materialised")
    ask("attention = fused, which keeps no scores", cell_with(base, {{"attention", std::string("fused")}}), one);
  if (before.mixes.empty() && request.machine.kind == Machine::Kind::cuda)
    if (const std::optional<CardFile> card = smallest_card_for(*before.smallest)) {
      AdviceRequest there = on_card(one, *card, 0);
      there.budget = "budget:auto";
      ask(fmt::format("{}, the smallest card known that it fits", card->card.name), base, there);
    }
  if (before.mixes.empty() && !request.pinned.contains("gradient_precision")) {
    AdviceRequest rounded = one;
    rounded.pinned.insert("gradient_precision");
    ask("gradient_precision = bf16, which rounds the sums of gradients",
        cell_with(base, {{"gradient_precision", std::string("bf16")}}), rounded);
  }
  return changes;
}

AdviceRequest request_of(const AdviseCommand& command) {
  AdviceRequest request;
  request.machine = machine_seen_by_child(command.device, command.threads);
  const std::int64_t budget = command.budget.empty() ? 0 : parse_bytes(command.budget, "--budget");
  request.budget = "budget:" + (command.budget.empty() ? "auto" : command.budget);
  for (const auto& [name, assignment] : command.configuration.overrides())
    if (assignment.field->section == "techniques") request.pinned.insert(name);
  if (!command.card.empty()) return on_card(std::move(request), find_card(command.card), budget);
  KeptTimes measured = kept_times(request.machine);
  const KeptCalibration kept = kept_calibration(request.machine);
  if (!kept.calibration && request.machine.has_kernels)
    throw UsageError(
        fmt::format("advise --device {}: times are needed, and {}: name the card's file with --card instead",
                    command.device, kept.note));
  if (!kept.calibration)
    throw UsageError(
        fmt::format("advise: times are needed: name a card with --card, or measure this machine with stepscope devices "
                    "--calibrate ({})",
                    kept.note));
  request.fit = fit_here(request.machine, budget);
  request.machine = with_memory(request.machine, request.fit);
  Card card = card_of(*kept.calibration);
  card.name.clear();
  request.times = roofline_source(card, "the roofline of this machine's calibration; a real step takes longer");
  if (measured.times) {
    request.times.step_ns = [model = measured.times->model](const Program& program) {
      return predicted_step(model, counted_work(program)).time_ns;
    };
    request.times.in_words = source_in_words(*measured.times);
  }
  return request;
}

std::string command_line(const AdviseCommand& command) {
  std::string line = fmt::format("stepscope advise {} --measure {} --out{}{}", command.configuration.as_arguments(),
                                 command.measure, command.out.starts_with('-') ? "=" : " ", shell_quoted(command.out));
  if (!command.budget.empty()) line += " --budget " + shell_quoted(command.budget);
  if (command.device != "cpu") line += " --device " + command.device;
  if (command.threads > 0) line += fmt::format(" --threads {}", command.threads);
  return line;
}

// "global_batch=256": the fields in which a base differs from the others of its matrix.
std::vector<std::string> own_fields(const MatrixCell& base, const std::vector<MatrixCell>& bases) {
  std::set<std::string> given;
  for (const MatrixCell& other : bases)
    for (const auto& [name, assignment] : *other.given) given.insert(name);
  std::vector<std::string> sets;
  for (const std::string& name : given) {
    const Field& field = field_named(name, "");
    const auto value = field.get(base.configuration);
    if (std::any_of(bases.begin(), bases.end(),
                    [&](const MatrixCell& other) { return field.get(other.configuration) != value; }))
      sets.push_back(fmt::format("{}={}", name, to_string(value)));
  }
  return sets;
}

// The command that shows a mix: what was asked, with the mix's techniques in place of those asked for. A file may have values of each.
std::string command_to_try(const AdviseCommand& command, const std::vector<std::string>& own, const Mix& mix) {
  ConfigurationOptions asked = command.configuration;
  std::erase_if(asked.sets, [](const std::string& set) {
    const Assignments one = overrides_of({set}, "", "");
    return one.begin()->second.field->section == "techniques";
  });
  asked.sets.insert(asked.sets.end(), own.begin(), own.end());
  for (std::string& set : sets_of(mix.values, !asked.matrix.empty())) asked.sets.push_back(std::move(set));
  const std::string device = command.device == "cpu" ? "" : " --device " + command.device;
  const std::string threads = command.threads > 0 ? fmt::format(" --threads {}", command.threads) : "";
  if (command.card.empty()) return "step " + asked.as_arguments() + device + threads;
  return fmt::format("plan {} --card {}{}", asked.as_arguments(), shell_quoted(command.card),
                     command.budget.empty() ? "" : " --budget " + shell_quoted(command.budget));
}

void advise(const AdviseCommand& command) {
  const Matrix matrix = command.configuration.read();
  if (command.measure > 0 && !command.card.empty())
    throw UsageError(
        fmt::format("--measure {}: it runs on this machine, not on --card {}", command.measure, command.card));
  if ((command.measure > 0) == command.out.empty())
    throw UsageError(command.out.empty()
                         ? fmt::format("--measure {}: --out RUN is needed, the folder of the run", command.measure)
                         : fmt::format("--out {}: only --measure K writes a run", command.out));
  const AdviceRequest request = request_of(command);
  const std::vector<MatrixCell> bases = bases_of(matrix, request.pinned);
  if (command.measure > 0 && bases.size() > 1)
    throw UsageError(
        fmt::format("--measure {}: one model is needed, the matrix has {}", command.measure, bases.size()));
  if (command.measure > 0) require_run_of(bases.front(), command.out);
  for (const MatrixCell& base : bases) {
    const std::vector<std::string> own = own_fields(base, bases);
    const ArgumentsOf arguments_of = [&](const Mix& mix) { return command_to_try(command, own, mix); };
    Adviser adviser(base, request);
    GivenAdvice answer{.base = base, .advice = adviser.search(), .changes = {}, .notes = adviser.notes()};
    answer.changes = changes_of(base, request, answer.advice);
    if (bases.size() > 1 && !command.json)
      fmt::print("{}{}:\n", &base == &bases.front() ? "" : "\n", fmt::join(own, ", "));
    if (const std::string note = set_aside(matrix, request.pinned); !note.empty()) answer.notes.push_back(note);
    if (!command.json) print_advice(answer, request, arguments_of);
    if (command.measure == 0 || answer.advice.mixes.empty()) {
      if (command.json) print_advice_json(answer, request);
      continue;
    }
    const MeasuredAdvice measured = measure_mixes(adviser, answer.advice,
                                                  {.base = base,
                                                   .best = command.measure,
                                                   .out = command.out,
                                                   .machine = machine_seen_by_child(command.device, command.threads),
                                                   .command = command_line(command),
                                                   .quiet = command.json});
    if (command.json)
      print_measured_json(answer, request, measured);
    else
      print_measured(measured, command.out);
  }
}

}  // namespace

void add_advise(CLI::App& app) {
  auto command = std::make_shared<AdviseCommand>();
  CLI::App& sub = *app.add_subcommand(
      "advise",
      "the fastest mix of techniques that fits a card or this machine, what comes next, what would change it");
  add_configuration_options(sub, command->configuration);
  CLI::Option* card = sub.add_option("--card", command->card,
                                     "a name (devices --cards) or a file; default: this machine, by its calibration")
                          ->type_name("NAME");
  add_device_option(sub, command->device)->excludes(card);
  sub.add_option("--budget", command->budget,
                 "memory there is, as 24GiB: of a card for the whole process, else for states and arena")
      ->type_name("SIZE");
  sub.add_option("--measure", command->measure,
                 "run the best K and their neighbours here and correct the answer; needs --out")
      ->type_name("K")
      ->check(CLI::Range(1, 20));
  sub.add_option("--out", command->out, "folder of that run, new or to go on with")->type_name("RUN");
  add_json_option(sub, command->json);
  add_threads_option(sub, command->threads);
  sub.callback([command] { advise(*command); });
}

}  // namespace stepscope
