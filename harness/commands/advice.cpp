#include "harness/commands/advice.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/commands/fits.h"
#include "harness/commands/options.h"
#include "reports/format.h"

namespace stepscope {

namespace {

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

// "10.08 GiB and 1.000 GiB beside it, of 11.18 GiB": what plan calls the peak, and what counts beside it.
std::string needs_in_words(const Mix& mix, const MemoryFit& fit) {
  const std::int64_t beside = fit.memory.bytes - mix.margin_bytes - mix.needs.total();
  if (beside == 0) return fmt::format("{} of {}", amount(mix.needs.total()), amount(fit.memory.bytes));
  return fmt::format("{} and {} beside them, of {}", amount(mix.needs.total()), amount(beside),
                     amount(fit.memory.bytes));
}

std::string device_of(const AdviceRequest& request) {
  return request.times.ceilings.name.empty() ? "this machine" : request.times.ceilings.name;
}

std::string sentence_of(const Advice& advice, const AdviceRequest& request) {
  if (advice.mixes.empty()) {
    const Mix& least = *advice.smallest;
    TechniqueValues values = least.values;
    if (is_budget(values.at("checkpointing"))) values["checkpointing"] = std::string("whatever saves the most");
    return fmt::format(
        "Nothing fits: {} are {} short even for {}, which needs {} in all. Parameters, gradients and moments alone "
        "take {}.",
        amount(request.fit.memory.bytes), amount(-least.margin_bytes), in_words(values),
        amount(request.fit.memory.bytes - least.margin_bytes), amount(least.needs.state_bytes));
  }
  const Mix& best = advice.mixes.front();
  return fmt::format("Use {}: {} a step predicted on {}; states and arena take {}.", in_words(best.values),
                     format_time(best.step_ns), device_of(request), needs_in_words(best, request.fit));
}

std::string more_or_less(double ratio, const char* more, const char* less, const char* same) {
  if (std::abs(ratio - 1) < 0.0005) return same;
  return fmt::format("{} {}", format_percent(std::abs(ratio - 1)), ratio >= 1 ? more : less);
}

void print_runners_up(const Advice& advice) {
  if (advice.mixes.size() < 2) return;
  fmt::print("\nrunners-up\n");
  const Mix& best = advice.mixes.front();
  const auto need = [](const Mix& mix) { return as_double(mix.needs.total()); };
  for (std::size_t i = 1; i < advice.mixes.size(); ++i) {
    const Mix& mix = advice.mixes[i];
    print_wrapped(
        fmt::format("{}: {}, {}; {}, {}", in_words(mix.values), format_time(mix.step_ns),
                    more_or_less(mix.step_ns / best.step_ns, "slower", "faster", "as fast"), format_bytes(need(mix)),
                    more_or_less(need(mix) / need(best), "more memory", "less memory", "the same memory")),
        2);
  }
}

std::string change_in_words(const AdvisedChange& change, const Advice& before) {
  if (change.advice.mixes.empty())
    return fmt::format("{}: nothing fits, {} short", change.what, amount(-change.advice.smallest->margin_bytes));
  const Mix& best = change.advice.mixes.front();
  const bool same = !before.mixes.empty() && before.mixes.front().values == best.values;
  return fmt::format("{}: {}, {} a step, {} left", change.what, same ? "the same mix" : in_words(best.values),
                     format_time(best.step_ns), amount(best.margin_bytes));
}

}  // namespace

void print_advice(const GivenAdvice& answer, const AdviceRequest& request, const ArgumentsOf& arguments_of) {
  print_wrapped(sentence_of(answer.advice, request));
  print_runners_up(answer.advice);
  fmt::print("\nwhat would change it\n");
  for (const AdvisedChange& change : answer.changes) print_wrapped(change_in_words(change, answer.advice), 2);
  fmt::print("\n");
  print_fit(request.fit);
  print_wrapped(fmt::format("times: {}. {} mixes timed, {} planned to the byte", request.times.in_words,
                            answer.advice.timed, answer.advice.planned));
  if (!answer.advice.mixes.empty() && answer.advice.fastest->values != answer.advice.mixes.front().values)
    print_wrapped(
        fmt::format("note: predictions within {} are not told apart, so the plainest of such mixes is "
                    "advised; the fastest of them: {}, {}",
                    format_percent(as_fast - 1), in_words(answer.advice.fastest->values),
                    format_time(answer.advice.fastest->step_ns)));
  for (const std::string& note : answer.notes) print_wrapped("note: " + note);
  if (answer.advice.mixes.empty()) return;
  fmt::print("try it: stepscope {}\n", arguments_of(answer.advice.mixes.front()));  // in one piece, to be copied
}

namespace {

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

void print_json(const GivenAdvice& answer, const AdviceRequest& request, const nlohmann::ordered_json& measured) {
  nlohmann::ordered_json line{{"schema", "stepscope.advice/1"}, {"sentence", sentence_of(answer.advice, request)}};
  line.update(json_of(answer.advice));
  line["changes"] = nlohmann::ordered_json::array();
  for (const AdvisedChange& change : answer.changes) {
    nlohmann::ordered_json one{{"what", change.what}};
    one.update(json_of(change.advice));
    line["changes"].push_back(std::move(one));
  }
  line["times"] = request.times.in_words;
  line["memory_bytes"] = request.fit.memory.bytes;
  const Mix* told = answer.advice.mixes.empty() ? &*answer.advice.smallest : &answer.advice.mixes.front();
  line["fit"] = nlohmann::ordered_json::parse(fit_json(request.fit, told->needs.state_bytes));
  line["timed"] = answer.advice.timed;
  line["planned"] = answer.advice.planned;
  line["notes"] = answer.notes;
  line["measured"] = measured;
  fmt::print("{}\n", line.dump());
}

nlohmann::ordered_json json_of(const MeasuredMix& row) {
  nlohmann::ordered_json one = json_of(row.mix);
  one["id"] = row.id;
  one["outcome"] = row.outcome;
  one["measured_step_ns"] = nullptr;
  if (!row.time) return one;
  one["measured_step_ns"] = {{"median", row.time->median}, {"low", nullptr}, {"high", nullptr}};
  if (row.time->low) one["measured_step_ns"]["low"] = *row.time->low, one["measured_step_ns"]["high"] = *row.time->high;
  return one;
}

}  // namespace

void print_advice_json(const GivenAdvice& answer, const AdviceRequest& request) {
  print_json(answer, request, nullptr);
}

void print_measured_json(const GivenAdvice& answer, const AdviceRequest& request, const MeasuredAdvice& measured) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const MeasuredMix& row : measured.rows) rows.push_back(json_of(row));
  print_json(answer, request, {{"sentence", measured.sentence}, {"mixes", rows}});
}

void print_measured(const MeasuredAdvice& measured, const std::string& run) {
  constexpr std::size_t width = 60;
  fmt::print("\n{:<{}} {:>10} {:>10} {:>17}\n", "measured, the fastest first", width, "predicted", "measured", "95 %");
  for (const MeasuredMix& row : measured.rows) {
    const std::string name = in_words(row.mix.values);
    const std::string interval = row.time && row.time->low
                                     ? fmt::format("{}-{}", format_time(*row.time->low), format_time(*row.time->high))
                                     : "";
    if (name.size() > width) print_wrapped(name);
    fmt::print("{:<{}} {:>10} {:>10} {:>17}\n", name.size() > width ? "" : name, width, format_time(row.mix.step_ns),
               row.time ? format_time(row.time->median) : row.outcome, interval);
  }
  print_wrapped(measured.sentence);
  fmt::print("report: stepscope report {}\n", shell_quoted(run));
}

}  // namespace stepscope
