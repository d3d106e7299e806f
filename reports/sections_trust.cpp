// How far to trust the rest of the report: replication, noise, what disturbed it, what was not verified, and how to make it again.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "reports/format.h"
#include "reports/sections.h"
#include "reports/self_test.h"

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

Table facts_table(std::string name, std::string caption) {
  return {.name = std::move(name),
          .caption = std::move(caption),
          .columns = {{.title = "what", .number = false}, {.title = "finding", .number = false}}};
}

void add(Table& table, std::string what, std::string finding, std::string mark = "") {
  table.rows.push_back({text_cell(std::move(what)), text_cell(std::move(finding), std::move(mark))});
}

std::string labels(const Analysis& analysis, const std::vector<const Cell*>& cells) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(cells.size(), 4); ++i)
    text += (i > 0 ? ", " : "") + analysis.names.label(cells[i]->record);
  return cells.size() > 4 ? fmt::format("{} and {} more", text, cells.size() - 4) : text;
}

template <class Test>
std::vector<const Cell*> cells_where(const MeasuredRun& run, Test&& test) {
  std::vector<const Cell*> cells;
  for (const Cell& cell : run.cells) {
    if (test(cell)) cells.push_back(&cell);
  }
  return cells;
}

void add_replication(Table& table, const MeasuredRun& run) {
  std::set<int> rounds;
  int timed = 0, failed = 0, total = 0;
  for (const Cell& cell : run.cells) {
    for (const Visit& visit : cell.visits) {
      ++total;
      failed += visit.outcome != Outcome::ok ? 1 : 0;
      if (visit.kind != VisitKind::timed || visit.outcome != Outcome::ok) continue;
      ++timed;
      rounds.insert(visit.round);
    }
  }
  const bool one = rounds.size() <= 1;
  add(table, "replication",
      fmt::format("{} visits, each a process of its own; {} timed, in {} round{}; {} failed. {}", total, timed,
                  rounds.size(), rounds.size() == 1 ? "" : "s", failed,
                  one ? "Drift was not controlled: with one round there is no interval."
                      : "Intervals are over visits, ratios within rounds."),
      one ? "bad" : "");
}

std::optional<double> spread_between_visits(const Cell& cell) {
  std::vector<double> medians;
  for (const auto& [round, visits] : cell.timed_medians()) medians.insert(medians.end(), visits.begin(), visits.end());
  return spread_of(medians);
}

// One cell may have been lucky: the usual and the widest spread of all are said beside the reference's.
void add_noise(Table& table, const Analysis& analysis) {
  if (analysis.baseline() == nullptr) return;
  const std::optional<double> of_reference = spread_between_visits(*analysis.baseline());
  if (!of_reference) return add(table, "noise floor", "unknown: the reference cell was visited less than twice", "bad");
  std::vector<std::pair<double, const Cell*>> spreads;
  for (const Cell& cell : analysis.run.cells)
    if (const std::optional<double> spread = spread_between_visits(cell)) spreads.emplace_back(*spread, &cell);
  std::sort(spreads.begin(), spreads.end());
  const auto& [widest, where] = spreads.back();
  add(table, "noise floor",
      fmt::format("visits of one cell differ by {} in {}, by {} in the middle one of {} cells and by {} in {} (one "
                  "standard deviation)",
                  format_percent(*of_reference), analysis.names.label(analysis.baseline()->record),
                  format_percent(spreads[spreads.size() / 2].first), spreads.size(), format_percent(widest),
                  analysis.names.label(where->record)));
}

// How often verdicts are wrong on this machine, where that was measured.
void add_self_test(Table& table, const MeasuredRun& run) {
  const auto found = run.environment.find("self_test");
  if (found == run.environment.end())
    return add(table, "false alarms", "not measured on this machine: stepscope compare --self-test does it", "muted");
  const SelfTest test = self_test_from_json(*found, "environment.json");
  add(table, "false alarms", fmt::format("{} ({} rounds each, {})", in_words(test), test.rounds, test.time));
}

void add_trends(Table& table, const Analysis& analysis) {
  int visits = 0, drifting = 0;
  double worst = 1;
  for (const Cell& cell : analysis.run.cells) {
    for (const Visit& visit : cell.visits) {
      if (visit.kind != VisitKind::timed || visit.outcome != Outcome::ok || visit.step_time_ns.size() < 9) continue;
      ++visits;
      const Trend trend = trend_of(visit.step_time_ns);
      if (!trend.drifts) continue;
      ++drifting;
      if (std::abs(std::log(trend.ratio)) > std::abs(std::log(worst))) worst = trend.ratio;
    }
  }
  if (visits == 0) return add(table, "steady within a visit", "not tested: fewer than nine steps a visit");
  const std::string found = drifting == 0
                                ? "no visit got faster or slower as it ran"
                                : fmt::format("{} of {} visits changed speed as they ran, the most by a factor of {}",
                                              drifting, visits, format_ratio(worst));
  add(table, "steady within a visit", found, drifting * 10 > visits ? "bad" : "");
}

void add_disturbed(Table& table, const Analysis& analysis) {
  std::string example;
  int disturbed = 0, visits = 0;
  for (const Cell& cell : analysis.run.cells) {
    for (const Visit& visit : cell.visits) {
      ++visits;
      if (!visit.disturbance.disturbed) continue;
      ++disturbed;
      if (example.empty()) example = visit.disturbance.reason;
    }
  }
  std::string text = disturbed == 0 ? "none" : fmt::format("{} of {}, kept and counted", disturbed, visits);
  if (!example.empty()) text += "; the first: " + example;
  add(table, "disturbed visits", text, disturbed > 0 ? "bad" : "");
}

constexpr double most_overhead = 0.03;

void add_overhead(Table& table, const Analysis& analysis) {
  std::vector<double> overheads;
  const Record* most = nullptr;
  for (const Cell& cell : analysis.run.cells) {
    const Record& record = cell.record;
    if (!record.profiler_overhead) continue;
    overheads.push_back(*record.profiler_overhead);
    if (most == nullptr || *record.profiler_overhead > *most->profiler_overhead) most = &record;
  }
  if (overheads.empty()) return add(table, "profiler", "no profiled visit");
  std::string text = fmt::format(
      "step times come from visits without it; beside untraced steps of the same visit the median profiled step took "
      "{:+.1f} % of its time more, at most {:+.1f} %",
      100 * median_of(overheads), 100 * *most->profiler_overhead);
  if (most->profiler_overhead_low)
    text +=
        fmt::format(" ({:+.1f} to {:+.1f} %)", 100 * *most->profiler_overhead_low, 100 * *most->profiler_overhead_high);
  text += " in " + analysis.names.label(*most);
  const bool too_much = *most->profiler_overhead > most_overhead;
  if (too_much) text += "; above 3 %, so read times of operations with care";
  add(table, "profiler", text, too_much ? "bad" : "");
}

struct Accounts {  // of all profiled visits together
  std::map<std::string, int> methods;
  std::map<std::string, std::int64_t> remainders_ns, overheads_ns;
  std::int64_t device_ns = 0, operations_ns = 0, lost = 0;
};

Accounts accounts_of(const MeasuredRun& run) {
  Accounts all;
  for (const Cell& cell : run.cells) {
    for (const Visit& visit : cell.visits) {
      if (!visit.profiler || visit.outcome != Outcome::ok) continue;
      const ProfilerAccount& one = *visit.profiler;
      ++all.methods[one.method];
      all.device_ns += one.device_ns;
      all.operations_ns += one.operations_ns;
      all.lost += one.dropped_records + one.untimed_records + one.unread_bytes;
      for (const TimeSum& row : one.remainders) all.remainders_ns[row.name] += row.time_ns;
      for (const TimeSum& row : one.overheads) all.overheads_ns[row.name] += row.time_ns;
    }
  }
  return all;
}

std::string readable_times(const std::map<std::string, std::int64_t>& times_ns) {
  std::string text;
  for (const auto& [name, ns] : times_ns)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, format_time(static_cast<double>(ns)));
  return text;
}

// Whose the card's time was, and who told.
void add_attribution(Table& table, const MeasuredRun& run) {
  const Accounts all = accounts_of(run);
  std::string methods;
  for (const auto& [method, visits] : all.methods)
    methods += fmt::format("{}{} ({} visit{})", methods.empty() ? "" : "; ", method, visits, visits == 1 ? "" : "s");
  if (!methods.empty()) add(table, "times of operations", methods);
  if (all.device_ns == 0) return;
  std::string text = fmt::format("{:.2f} % of the card's {} in steps belong to operations",
                                 100 * static_cast<double>(all.operations_ns) / static_cast<double>(all.device_ns),
                                 format_time(static_cast<double>(all.device_ns)));
  if (!all.remainders_ns.empty()) text += "; the rest: " + readable_times(all.remainders_ns);
  if (all.lost > 0) text += "; records were lost: see each visit's profiler";
  const auto unknown = all.remainders_ns.find("unknown");
  const bool bad = all.lost > 0 || (unknown != all.remainders_ns.end() && unknown->second > all.device_ns / 1000);
  add(table, "attribution", text, bad ? "bad" : "");
  if (!all.overheads_ns.empty()) add(table, "profiler's own", readable_times(all.overheads_ns));
}

void add_verification(Table& table, const Analysis& analysis) {
  const MeasuredRun& run = analysis.run;
  const auto good = cells_where(run, [](const Cell& cell) { return verified(cell.record); });
  const auto pending = cells_where(
      run, [](const Cell& cell) { return cell.record.outcome == Outcome::ok && !may_show_time(cell.record); });
  const auto costed =
      cells_where(run, [](const Cell& cell) { return may_show_time(cell.record) && !verified(cell.record); });
  const auto failed = cells_where(run, [](const Cell& cell) { return cell.record.outcome == Outcome::unverified; });
  std::string text =
      fmt::format("{} cell{}: loss and every parameter's gradient of step 1 held against the reference cell",
                  good.size(), good.size() == 1 ? "" : "s");
  if (!failed.empty()) text += fmt::format("; outside the table and without a time: {}", labels(analysis, failed));
  if (!pending.empty()) text += fmt::format("; not yet verified and without a time: {}", labels(analysis, pending));
  if (!costed.empty())
    text += fmt::format("; costed, not computed, so that there is nothing to hold: {}", labels(analysis, costed));
  add(table, "verified", text, failed.empty() && pending.empty() ? "" : "bad");
  const auto widened = cells_where(run, [](const Cell& cell) { return cell.record.numerics.arithmetic == "widened"; });
  add(table, "arithmetic",
      widened.empty()
          ? "native in every cell"
          : fmt::format("widened in {}: stored narrow, computed in fp32; such times are not compared with native ones",
                        labels(analysis, widened)));
}

void add_loss_scaling(Table& table, const Analysis& analysis) {
  std::string text;
  for (const Cell& cell : analysis.run.cells) {
    const std::optional<LossScaling>& scaling = cell.record.loss_scaling;
    if (!scaling) continue;
    text +=
        fmt::format("{}{}: {} of {} steps skipped for an overflow, the scale at the end {}", text.empty() ? "" : "; ",
                    analysis.names.label(cell.record), format_count(static_cast<double>(scaling->skipped_steps)),
                    format_count(static_cast<double>(scaling->steps)), format_count(scaling->scale));
  }
  if (!text.empty()) add(table, "loss scaling", text);
}

void add_ceilings(Table& table, const MeasuredRun& run) {
  if (!run.calibration) return add(table, "ceilings", "not measured: no MFU, HFU, floor or roofline", "bad");
  const Calibration& c = *run.calibration;
  const bool busy = was_busy(c);
  add(table, "ceilings",
      fmt::format(
          "measured on this machine in {:.1f} s: the best repeat of {} ways of multiplying and {} sizes of arrays{}",
          c.seconds, c.matmuls.size(), c.bandwidths.size(),
          busy ? "; other work took the processors then, so that they may be too low" : ""),
      busy ? "bad" : "");
}

// {"a": {"b": 1}} -> a.b = 1
void flatten(Table& table, const std::string& key, const Json& value) {
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) flatten(table, key.empty() ? name : key + "." + name, inner);
  } else if (value.is_array()) {
    std::string text;
    for (const Json& part : value)
      text += (text.empty() ? "" : ", ") + (part.is_string() ? part.get<std::string>() : part.dump());
    if (!text.empty()) add(table, key, text);
  } else {
    add(table, key, value.is_string() ? value.get<std::string>() : value.dump());
  }
}

}  // namespace

ReportSection trust_section(const Analysis& analysis) {
  ReportSection section{.id = "trust", .title = "How far to trust this"};
  Table findings = facts_table("trust", "");
  add_replication(findings, analysis.run);
  add_noise(findings, analysis);
  add_self_test(findings, analysis.run);
  add_trends(findings, analysis);
  add_disturbed(findings, analysis);
  add_overhead(findings, analysis);
  add_attribution(findings, analysis.run);
  add_verification(findings, analysis);
  add_loss_scaling(findings, analysis);
  add_ceilings(findings, analysis.run);
  section.blocks.push_back(block(std::move(findings)));
  Table environment = facts_table("environment", "The machine and the program, as recorded when the run began.");
  flatten(environment, "", analysis.run.environment);
  if (!environment.rows.empty()) section.blocks.push_back(block(std::move(environment)));
  if (analysis.best() != nullptr && !analysis.best()->record.repeat.empty()) {
    section.blocks.push_back(code("Measure the fastest cell again", analysis.best()->record.repeat));
  }
  if (!analysis.run.matrix_text.empty())
    section.blocks.push_back(code("The matrix of this run (matrix.toml)", analysis.run.matrix_text));
  return section;
}

}  // namespace stepscope
