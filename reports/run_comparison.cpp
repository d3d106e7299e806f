#include "reports/run_comparison.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "reports/comparison.h"
#include "reports/format.h"

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

// What a reader must know before the times, in the order to tell it.
constexpr const char* environment_keys[] = {"device", "processor", "processors", "threads",  "memory_bytes", "system",
                                            "kernel", "bf16",      "fp16",       "commit",   "program_hash", "compiler",
                                            "onednn", "model",     "data",       "data_hash"};

std::string text_at(const Json& environment, const char* key) {
  const auto found = environment.find(key);
  if (found == environment.end()) return "not told";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::vector<EnvironmentDifference> environment_differences(const MeasuredRun& a, const MeasuredRun& b) {
  std::vector<EnvironmentDifference> differences;
  for (const char* key : environment_keys) {
    const std::string of_a = text_at(a.environment, key), of_b = text_at(b.environment, key);
    if (of_a != of_b) differences.push_back({key, of_a, of_b});
  }
  return differences;
}

// Axes by which cells are told apart: those that both runs know, and those that one run's cells have or leave out, as techniques that are
// off are. An axis of all of one run's cells and none of the other's is a newer version's.
std::string key_of(const Record& record, const std::set<std::string>& shared) {
  std::map<std::string, std::string> axes;
  for (const auto& [name, value] : record.axes.items())
    if (shared.contains(name)) axes[name] = value.dump();
  return fmt::format("{}", axes);
}

std::map<std::string, std::size_t> axes_of(const MeasuredRun& run) {  // and how many cells have each
  std::map<std::string, std::size_t> names;
  for (const Cell& cell : run.cells)
    for (const auto& [name, value] : cell.record.axes.items()) ++names[name];
  return names;
}

std::set<std::string> shared_axes(const MeasuredRun& a, const MeasuredRun& b) {
  const std::map<std::string, std::size_t> of_a = axes_of(a), of_b = axes_of(b);
  std::set<std::string> shared;
  for (const auto& [name, cells] : of_a)
    if (of_b.contains(name) || cells < a.cells.size()) shared.insert(name);
  for (const auto& [name, cells] : of_b)
    if (cells < b.cells.size()) shared.insert(name);
  return shared;
}

void match_cells(const MeasuredRun& a, const MeasuredRun& b, RunComparison& comparison) {
  const std::set<std::string> shared = shared_axes(a, b);
  const Names names(a);
  std::map<std::string, const Cell*> of_b;
  for (const Cell& cell : b.cells) of_b.emplace(key_of(cell.record, shared), &cell);
  std::set<const Cell*> taken;
  for (const Cell& cell : a.cells) {
    const auto found = of_b.find(key_of(cell.record, shared));
    if (found == of_b.end() || !taken.insert(found->second).second) {
      comparison.only_a.push_back(&cell);
      continue;
    }
    comparison.cells.push_back({.a = &cell, .b = found->second, .label = names.label(cell.record)});
  }
  for (const Cell& cell : b.cells)
    if (!taken.contains(&cell)) comparison.only_b.push_back(&cell);
}

// A value a round: the geometric mean of its visits, divided by the sentinel's where there is one.
std::vector<double> values_of(const Cell& cell, const Cell* sentinel) {
  std::vector<double> values;
  const VisitsByRound medians = cell.timed_medians();
  const VisitsByRound of_sentinel = sentinel == nullptr ? VisitsByRound{} : sentinel->timed_medians();
  for (const auto& [round, visits] : medians) {
    if (visits.empty()) continue;
    const double time = mean_of_logs(visits).middle;
    const auto beside = of_sentinel.find(round);
    if (sentinel == nullptr)
      values.push_back(time);
    else if (beside != of_sentinel.end() && !beside->second.empty())
      values.push_back(time / mean_of_logs(beside->second).middle);
  }
  return values;
}

std::optional<RatioTest> time_test(const CellComparison& cell, const Cell* sentinel_a, const Cell* sentinel_b) {
  if (!has_time(cell.a->record) || !has_time(cell.b->record)) return std::nullopt;
  const std::vector<double> a = values_of(*cell.a, sentinel_a), b = values_of(*cell.b, sentinel_b);
  if (a.empty() || b.empty()) return std::nullopt;
  return ratio_of_independent(b, a);
}

void judge(RunComparison& comparison) {
  std::vector<CellComparison*> judged;
  std::vector<double> p;
  for (CellComparison& cell : comparison.cells) {
    if (cell.is_sentinel || !cell.time || !cell.time->p) continue;
    judged.push_back(&cell);
    p.push_back(*cell.time->p);
  }
  const std::vector<bool> sure = holm(p);
  for (std::size_t i = 0; i < judged.size(); ++i) {
    const Verdict alone = verdict_of(judged[i]->time->ratio);
    judged[i]->verdict = alone == Verdict::same || sure[i] ? alone : Verdict::undecided;
  }
}

}  // namespace

std::int64_t CellComparison::more_bytes() const { return peak_bytes(b->record) - peak_bytes(a->record); }

bool RunComparison::has_regression() const {
  return std::any_of(cells.begin(), cells.end(), [](const CellComparison& cell) {
    return cell.failed || cell.verdict == Verdict::slower || (cell.time && cell.more_bytes() > 0);
  });
}

RunComparison compare_runs(const MeasuredRun& a, const MeasuredRun& b) {
  RunComparison comparison{.environment = environment_differences(a, b)};
  comparison.same_program = std::none_of(comparison.environment.begin(), comparison.environment.end(),
                                         [](const EnvironmentDifference& one) { return one.what == "program_hash"; });
  match_cells(a, b, comparison);
  const Cell* sentinel = baseline_of(a);
  const auto pair = std::find_if(comparison.cells.begin(), comparison.cells.end(), [&](const CellComparison& cell) {
    return cell.a == sentinel && has_time(cell.a->record) && has_time(cell.b->record);
  });
  comparison.against_sentinel = comparison.same_program && sentinel != nullptr && pair != comparison.cells.end();
  if (comparison.against_sentinel) pair->is_sentinel = true;
  for (CellComparison& cell : comparison.cells) {
    const bool divided = comparison.against_sentinel && !cell.is_sentinel;
    cell.time = time_test(cell, divided ? pair->a : nullptr, divided ? pair->b : nullptr);
    cell.failed = verified(cell.a->record) && !verified(cell.b->record);
    cell.mended = !verified(cell.a->record) && verified(cell.b->record);
  }
  judge(comparison);
  return comparison;
}

std::string verdict_in_words(const CellComparison& cell) {
  if (cell.failed) return fmt::format("failed: {}", name_of(cell.b->record.outcome));
  if (cell.mended) return "works now";
  if (!cell.time) return fmt::format("no time: {}", name_of(cell.b->record.outcome));
  if (cell.is_sentinel) return "the machine";
  if (!cell.time->p) return "one round";
  return std::string(name_of(cell.verdict));
}

std::string sentence_of(const RunComparison& comparison) {
  if (comparison.cells.empty()) return "The two runs have no cell in common.";
  std::map<std::string, int> counts;
  int bigger = 0, smaller = 0;
  double worst = 1;
  std::string worst_label;
  for (const CellComparison& cell : comparison.cells) {
    if (cell.failed || cell.mended)
      ++counts[cell.failed ? "failed" : "work now"];
    else if (cell.time && !cell.is_sentinel)
      ++counts[cell.time->p ? std::string(name_of(cell.verdict)) : "one round alone"];
    bigger += cell.time && cell.more_bytes() > 0 ? 1 : 0;
    smaller += cell.time && cell.more_bytes() < 0 ? 1 : 0;
    if (cell.verdict == Verdict::slower && cell.time->ratio.middle > worst)
      worst = cell.time->ratio.middle, worst_label = cell.label;
  }
  std::vector<std::string> parts;
  for (const char* name : {"failed", "slower", "faster", "same", "undecided", "one round alone", "work now"})
    if (counts[name] > 0) parts.push_back(fmt::format("{} {}", counts[name], name));
  if (bigger > 0) parts.push_back(fmt::format("{} need more memory", bigger));
  if (smaller > 0) parts.push_back(fmt::format("{} need less memory", smaller));
  if (parts.empty()) parts.emplace_back("nothing to compare beside the reference cell");
  std::string sentence = fmt::format("Of {} cells in common: {}", comparison.cells.size(), fmt::join(parts, ", "));
  if (!worst_label.empty())
    sentence += fmt::format("; the worst is {}, {}× the time", worst_label, format_ratio(worst));
  return sentence + ".";
}

}  // namespace stepscope
