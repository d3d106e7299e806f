// stepscope advise: which mix to use for a model on a card or this machine; with --measure the best ones are run, and the answer corrected.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/advise.h"
#include "harness/advise_measure.h"
#include "harness/calibrate.h"
#include "harness/commands/commands.h"
#include "harness/commands/fits.h"
#include "harness/commands/options.h"
#include "harness/kept_times.h"
#include "harness/session.h"
#include "model/base/error.h"
#include "reports/format.h"

namespace stepscope {

namespace {

struct AdviseCommand {
  ConfigurationOptions configuration;
  std::string card, budget, out;
  int measure = 0, threads = 0;
  bool json = false;
};

struct Change {  // a question, and its answer
  std::string what;
  Advice advice;
};

struct Answer {
  MatrixCell base;
  Advice advice;
  std::vector<Change> changes;
  std::vector<std::string> notes;
};

constexpr std::size_t screen_columns = 100;

// Broken at spaces, later lines indented by two more.
void print_wrapped(const std::string& text, std::size_t indent = 0) {
  const std::string margin(indent, ' ');
  std::string line = margin;
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, space - at);
    if (columns > 0 && columns + 1 + word.size() > screen_columns) {
      fmt::print("{}\n", line);
      line = margin + "  " + word, columns = line.size();
    } else {
      line += (columns > 0 ? " " : "") + word;
      columns = line.size();
    }
    at = space + 1;
  }
  fmt::print("{}\n", line);
}

std::string amount(std::int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

std::string needs_in_words(const Mix& mix, const MemoryFit& fit) {
  return fmt::format("{} of {}", amount(fit.memory.bytes - mix.margin_bytes), amount(fit.memory.bytes));
}

std::string device_of(const AdviceRequest& request) {
  return request.times.ceilings.name.empty() ? "this machine" : request.times.ceilings.name;
}

std::string sentence_of(const Advice& advice, const AdviceRequest& request) {
  if (advice.mixes.empty()) {
    const Mix& least = *advice.smallest;
    return fmt::format("Nothing fits: {} are {} short even for {}. Parameters, gradients and moments alone take {}.",
                       amount(request.fit.memory.bytes), amount(-least.margin_bytes), in_words(least.values),
                       amount(least.needs.state_bytes));
  }
  const Mix& best = advice.mixes.front();
  return fmt::format("Use {}: {} a step predicted on {}, {} needed.", in_words(best.values), format_time(best.step_ns),
                     device_of(request), needs_in_words(best, request.fit));
}

std::string more_or_less(double ratio, const char* more, const char* less) {
  return fmt::format("{} {}", format_percent(std::abs(ratio - 1)), ratio >= 1 ? more : less);
}

void print_runners_up(const Advice& advice, const MemoryFit& fit) {
  if (advice.mixes.size() < 2) return;
  fmt::print("\nrunners-up\n");
  const Mix& best = advice.mixes.front();
  const auto need = [&](const Mix& mix) { return static_cast<double>(fit.memory.bytes - mix.margin_bytes); };
  for (std::size_t i = 1; i < advice.mixes.size(); ++i) {
    const Mix& mix = advice.mixes[i];
    print_wrapped(fmt::format("{}: {}, {}; {}, {}", in_words(mix.values), format_time(mix.step_ns),
                              more_or_less(mix.step_ns / best.step_ns, "slower", "faster"), format_bytes(need(mix)),
                              more_or_less(need(mix) / need(best), "more memory", "less memory")),
                  2);
  }
}

std::string change_in_words(const Change& change, const Advice& before) {
  if (change.advice.mixes.empty())
    return fmt::format("{}: nothing fits, {} short", change.what, amount(-change.advice.smallest->margin_bytes));
  const Mix& best = change.advice.mixes.front();
  const bool same = !before.mixes.empty() && before.mixes.front().values == best.values;
  return fmt::format("{}: {}, {} a step, {} left", change.what, same ? "the same mix" : in_words(best.values),
                     format_time(best.step_ns), amount(best.margin_bytes));
}

void print_answer(const Answer& answer, const AdviceRequest& request, const std::string& arguments) {
  print_wrapped(sentence_of(answer.advice, request));
  print_runners_up(answer.advice, request.fit);
  fmt::print("\nwhat would change it\n");
  for (const Change& change : answer.changes) print_wrapped(change_in_words(change, answer.advice), 2);
  fmt::print("\n");
  print_fit(request.fit);
  print_wrapped(fmt::format("times: {}. {} mixes timed, {} planned to the byte", request.times.in_words,
                            answer.advice.timed, answer.advice.planned));
  for (const std::string& note : answer.notes) print_wrapped("note: " + note);
  if (answer.advice.mixes.empty()) return;
  std::string line = "try it: stepscope " + arguments;
  for (const std::string& set : sets_of(answer.advice.mixes.front().values)) line += " --set " + shell_quoted(set);
  fmt::print("{}\n", line);  // in one piece, to be copied
}

nlohmann::ordered_json json_of(const Mix& mix) {
  nlohmann::ordered_json values;
  for (const auto& [name, value] : mix.values)
    std::visit([&, &key = name](const auto& held) { values[key] = held; }, value);
  return {{"techniques", values},
          {"sets", sets_of(mix.values)},
          {"in_words", in_words(mix.values)},
          {"predicted_step_ns", mix.step_ns},
          {"state_bytes", mix.needs.state_bytes},
          {"arena_bytes", mix.needs.arena_bytes},
          {"margin_bytes", mix.margin_bytes}};
}

nlohmann::ordered_json json_of(const Advice& advice) {
  nlohmann::ordered_json json{
      {"answer", nullptr}, {"runners_up", nlohmann::ordered_json::array()}, {"smallest", nullptr}};
  if (!advice.mixes.empty()) json["answer"] = json_of(advice.mixes.front());
  for (std::size_t i = 1; i < advice.mixes.size(); ++i) json["runners_up"].push_back(json_of(advice.mixes[i]));
  if (advice.smallest) json["smallest"] = json_of(*advice.smallest);
  return json;
}

void print_json(const Answer& answer, const AdviceRequest& request, const nlohmann::ordered_json& measured) {
  nlohmann::ordered_json line{{"schema", "stepscope.advice/1"}, {"sentence", sentence_of(answer.advice, request)}};
  line.update(json_of(answer.advice));
  line["changes"] = nlohmann::ordered_json::array();
  for (const Change& change : answer.changes) {
    nlohmann::ordered_json one{{"what", change.what}};
    one.update(json_of(change.advice));
    line["changes"].push_back(std::move(one));
  }
  line["times"] = request.times.in_words;
  line["memory_bytes"] = request.fit.memory.bytes;
  line["timed"] = answer.advice.timed;
  line["planned"] = answer.advice.planned;
  line["notes"] = answer.notes;
  line["measured"] = measured;
  fmt::print("{}\n", line.dump());
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

std::vector<Change> changes_of(const MatrixCell& base, const AdviceRequest& request, bool nothing_fits) {
  std::vector<Change> changes;
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
  const std::int64_t twice = 2 * base.configuration.training.sequence;
  std::map<std::string, Choice> longer{{"sequence", twice}};
  if (twice > base.configuration.model.max_sequence) longer.emplace("max_sequence", twice);
  if (mask_file_of(base.configuration.model).empty())
    ask(fmt::format("rows of {} tokens", twice), cell_with(base, longer), one);
  if (nothing_fits && !request.pinned.contains("gradient_precision")) {
    AdviceRequest rounded = one;
    rounded.pinned.insert("gradient_precision");
    ask("gradient_precision = bf16, which rounds the sums of gradients",
        cell_with(base, {{"gradient_precision", std::string("bf16")}}), rounded);
  }
  return changes;
}

AdviceRequest request_of(const AdviseCommand& command) {
  AdviceRequest request;
  request.machine = machine_of(command.threads);
  const std::int64_t budget = command.budget.empty() ? 0 : parse_bytes(command.budget, "--budget");
  request.budget = "budget:" + (command.budget.empty() ? "auto" : command.budget);
  for (const auto& [name, assignment] : command.configuration.overrides())
    if (assignment.field->section == "techniques") request.pinned.insert(name);
  if (!command.card.empty()) {
    const CardFile card = find_card(command.card);
    request.fit = fit_on_card(card, budget);
    request.machine = with_memory(simulated(request.machine, card.card), request.fit);
    request.times = roofline_source(
        card.card,
        fmt::format("the roofline of {}, as its peaks at best allow; a real step takes longer", card.card.name));
    return request;
  }
  KeptTimes measured = kept_times(request.machine);
  const KeptCalibration kept = kept_calibration(request.machine);
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

std::string command_to_try(const AdviseCommand& command) {
  const std::string cell = command.configuration.as_arguments();
  if (command.card.empty()) return "step " + cell;
  return fmt::format("plan {} --card {}{}", cell, shell_quoted(command.card),
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
  const std::string arguments = command_to_try(command);
  if (command.measure > 0 && bases.size() > 1)
    throw UsageError(
        fmt::format("--measure {}: one model is needed, the matrix has {}", command.measure, bases.size()));
  for (const MatrixCell& base : bases) {
    Adviser adviser(base, request);
    Answer answer{.base = base, .advice = adviser.search(), .changes = {}, .notes = adviser.notes()};
    answer.changes = changes_of(base, request, answer.advice.mixes.empty());
    if (bases.size() > 1 && !command.json) fmt::print("{}{}\n", &base == &bases.front() ? "" : "\n", base.id);
    if (!command.json) print_answer(answer, request, arguments);
    if (command.measure == 0 || answer.advice.mixes.empty()) {
      if (command.json) print_json(answer, request, nullptr);
      continue;
    }
    const MeasuredAdvice measured = measure_mixes(adviser, answer.advice,
                                                  {.base = base,
                                                   .best = command.measure,
                                                   .out = command.out,
                                                   .machine = machine_of(command.threads),
                                                   .arguments = command.configuration.as_arguments(),
                                                   .quiet = command.json});
    if (command.json) {
      nlohmann::ordered_json rows = nlohmann::ordered_json::array();
      for (const MeasuredMix& row : measured.rows) {
        nlohmann::ordered_json one = json_of(row.mix);
        one["id"] = row.id;
        one["outcome"] = row.outcome;
        one["measured_step_ns"] = nullptr;
        if (row.time) {
          one["measured_step_ns"] = {{"median", row.time->median}, {"low", nullptr}, {"high", nullptr}};
          if (row.time->low)
            one["measured_step_ns"]["low"] = *row.time->low, one["measured_step_ns"]["high"] = *row.time->high;
        }
        rows.push_back(std::move(one));
      }
      print_json(answer, request, {{"sentence", measured.sentence}, {"mixes", rows}});
      continue;
    }
    fmt::print("\n{:<60} {:>10} {:>10} {:>17}\n", "measured, the fastest first", "predicted", "measured", "95 %");
    for (const MeasuredMix& row : measured.rows) {
      const std::string interval = row.time && row.time->low
                                       ? fmt::format("{}-{}", format_time(*row.time->low), format_time(*row.time->high))
                                       : "";
      fmt::print("{:<60} {:>10} {:>10} {:>17}\n", in_words(row.mix.values), format_time(row.mix.step_ns),
                 row.time ? format_time(row.time->median) : row.outcome, interval);
    }
    print_wrapped(measured.sentence);
    fmt::print("report: stepscope report {}\n", shell_quoted(command.out));
  }
}

}  // namespace

void add_advise(CLI::App& app) {
  auto command = std::make_shared<AdviseCommand>();
  CLI::App& sub = *app.add_subcommand(
      "advise",
      "the fastest mix of techniques that fits a card or this machine, what comes next, what would change it");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--card", command->card,
                 "a name (devices --cards) or a file; default: this machine, by its calibration")
      ->type_name("NAME");
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
