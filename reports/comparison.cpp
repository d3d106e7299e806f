#include "reports/comparison.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

Json value_of(const Record& record, const std::string& axis) {
  const auto found = record.axes.find(axis);
  return found == record.axes.end() ? Json() : *found;
}

// Everything but one axis, as a key.
std::string others(const Record& record, const std::string& axis) {
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : record.axes.items()) {
    if (name != axis && !(axis == "precision" && belongs_to_precision(name))) values[name] = value.dump();
  }
  return Json(values).dump();
}

bool is_plain(const Record& record) {
  return value_of(record, "precision") == "fp32" && value_of(record, "checkpointing") == "none" &&
         value_of(record, "accumulation") == 1;
}

using LogRatios = std::map<int, double>;  // by round

LogRatios log_ratios(const Cell& a, const Cell& b) {
  const auto mean_log = [](const std::vector<double>& visits) { return std::log(mean_of_logs(visits).middle); };
  const VisitsByRound of_a = a.timed_medians(), of_b = b.timed_medians();
  const double tokens =
      std::log(static_cast<double>(a.record.tokens_per_step) / static_cast<double>(b.record.tokens_per_step));
  LogRatios ratios;
  for (const auto& [round, visits] : of_a) {
    if (const auto other = of_b.find(round); other != of_b.end()) {
      ratios[round] = mean_log(visits) - mean_log(other->second) - tokens;
    }
  }
  return ratios;
}

std::optional<Interval> interval_of(const LogRatios& ratios, double confidence = confidence_level) {
  if (ratios.empty()) return std::nullopt;
  std::vector<double> factors;
  for (const auto& [round, log_ratio] : ratios) factors.push_back(std::exp(log_ratio));
  return mean_of_logs(factors, confidence);
}

// a - b in the rounds that both have.
LogRatios difference(const LogRatios& a, const LogRatios& b) {
  LogRatios result;
  for (const auto& [round, value] : a) {
    if (const auto other = b.find(round); other != b.end()) result[round] = value - other->second;
  }
  return result;
}

void summarise(TechniqueEffect& technique) {
  std::vector<LogRatios> by_pair;
  std::vector<std::size_t> timed;  // indices of effects with a time
  double log_memory = 0;
  technique.memory_low = technique.memory_high = technique.effects.front().memory;
  for (std::size_t i = 0; i < technique.effects.size(); ++i) {
    const Effect& effect = technique.effects[i];
    log_memory += std::log(effect.memory);
    technique.memory_low = std::min(technique.memory_low, effect.memory);
    technique.memory_high = std::max(technique.memory_high, effect.memory);
    if (!effect.time) continue;
    timed.push_back(i);
    by_pair.push_back(log_ratios(*effect.with, *effect.without));
  }
  technique.memory = std::exp(log_memory / static_cast<double>(technique.effects.size()));
  if (timed.empty()) return;
  LogRatios mean;  // only rounds in which every pair was measured, so that each round averages the same pairs
  for (const auto& in_round : by_pair.front()) {
    const int round = in_round.first;
    double sum = 0;
    const bool complete = std::all_of(by_pair.begin(), by_pair.end(), [&](const LogRatios& ratios) {
      const auto found = ratios.find(round);
      if (found != ratios.end()) sum += found->second;
      return found != ratios.end();
    });
    if (complete) mean[round] = sum / static_cast<double>(by_pair.size());
  }
  technique.time = interval_of(mean);
  if (timed.size() < 2) return;
  const auto by_time = [&](std::size_t a, std::size_t b) {
    return technique.effects[timed[a]].time->middle < technique.effects[timed[b]].time->middle;
  };
  std::size_t least = 0, most = 0;
  for (std::size_t i = 1; i < timed.size(); ++i) {
    if (by_time(i, least)) least = i;
    if (by_time(most, i)) most = i;
  }
  // The extremes were picked out of all pairs of pairs, so the chance of one false alarm is shared among them.
  const double pairs = static_cast<double>(timed.size() * (timed.size() - 1)) / 2;
  const std::optional<Interval> spread =
      interval_of(difference(by_pair[most], by_pair[least]), 1 - (1 - confidence_level) / pairs);
  if (spread && spread->low && *spread->low > 1 && spread->middle > 1.02)
    technique.interaction = {timed[least], timed[most]};
}

}  // namespace

std::int64_t peak_bytes(const Record& record) {
  const std::int64_t device = record.bytes.used_peak.value_or(record.bytes.predicted_peak);
  if (record.device.kind != "cpu" || !record.bytes.host) return device;
  const HostBytes& host = *record.bytes.host;
  return device + host.used.value_or(host.planned());
}
bool has_time(const Record& record) { return may_show_time(record) && record.step_time_ns.has_value(); }
double time_per_token(const Record& record) {
  return record.step_time_ns->median / static_cast<double>(std::max<std::int64_t>(1, record.tokens_per_step));
}

bool comparable(const Record& a, const Record& b) {
  if (value_of(a, "precision") == value_of(b, "precision")) return true;
  return a.numerics.arithmetic == "native" && b.numerics.arithmetic == "native";
}

bool interchangeable(const Record& a, const Record& b) {
  return comparable(a, b) && a.numerics.reference == b.numerics.reference;
}

const Cell* baseline_of(const MeasuredRun& run) {
  std::map<std::string, int> named;
  for (const Cell& cell : run.cells) {
    if (!cell.record.numerics.reference.empty()) ++named[cell.record.numerics.reference];
  }
  const Cell* best = nullptr;
  int votes = 0;
  for (const Cell& cell : run.cells) {
    const auto found = named.find(cell.record.id);
    if (found != named.end() && found->second > votes && has_time(cell.record)) {
      best = &cell;
      votes = found->second;
    }
  }
  if (best != nullptr) return best;
  const auto plain =
      std::find_if(run.cells.begin(), run.cells.end(), [](const Cell& cell) { return is_plain(cell.record); });
  return plain == run.cells.end() ? nullptr : &*plain;
}

std::optional<Interval> time_ratio(const Cell& cell, const Cell& baseline) {
  if (!has_time(cell.record) || !has_time(baseline.record) || !comparable(cell.record, baseline.record))
    return std::nullopt;
  return interval_of(log_ratios(cell, baseline));
}

std::vector<const Cell*> frontier_of(const MeasuredRun& run, const Cell& baseline) {
  std::vector<const Cell*> cells;
  for (const Cell& cell : run.cells) {
    if (has_time(cell.record) && interchangeable(cell.record, baseline.record)) cells.push_back(&cell);
  }
  std::stable_sort(cells.begin(), cells.end(), [](const Cell* a, const Cell* b) {
    return std::pair(peak_bytes(a->record), time_per_token(a->record)) <
           std::pair(peak_bytes(b->record), time_per_token(b->record));
  });
  std::vector<const Cell*> frontier;
  for (const Cell* cell : cells) {
    if (frontier.empty() || time_per_token(cell->record) < time_per_token(frontier.back()->record))
      frontier.push_back(cell);
  }
  return frontier;
}

std::vector<TechniqueEffect> techniques_of(const MeasuredRun& run, const Names& names, const Cell& baseline) {
  std::vector<TechniqueEffect> techniques;
  for (const std::string& axis : names.varying_axes()) {
    const Json from = value_of(baseline.record, axis);
    std::map<std::string, const Cell*> without;  // by what is held
    for (const Cell& cell : run.cells) {
      if (has_time(cell.record) && value_of(cell.record, axis) == from)
        without.emplace(others(cell.record, axis), &cell);
    }
    std::vector<std::pair<Json, TechniqueEffect>> by_value;
    for (const Cell& cell : run.cells) {
      const Json to = value_of(cell.record, axis);
      const auto partner = without.find(others(cell.record, axis));
      if (!has_time(cell.record) || to == from || partner == without.end()) continue;
      auto found = std::find_if(by_value.begin(), by_value.end(), [&](const auto& entry) { return entry.first == to; });
      if (found == by_value.end()) {
        by_value.push_back({to, {.axis = axis, .from = short_value(axis, from), .to = short_value(axis, to)}});
        found = by_value.end() - 1;
      }
      found->second.effects.push_back({.without = partner->second,
                                       .with = &cell,
                                       .held = names.label_without(cell.record, axis),
                                       .time = time_ratio(cell, *partner->second),
                                       .memory = static_cast<double>(peak_bytes(cell.record)) /
                                                 static_cast<double>(peak_bytes(partner->second->record))});
    }
    for (auto& [value, technique] : by_value) {
      summarise(technique);
      techniques.push_back(std::move(technique));
    }
  }
  return techniques;
}

std::optional<double> price_ms_per_gib(const MeasuredRun& run, const Cell& cell) {
  if (!has_time(cell.record) || value_of(cell.record, "checkpointing") == "none") return std::nullopt;
  const std::string key = others(cell.record, "checkpointing");
  for (const Cell& other : run.cells) {
    if (!has_time(other.record) || value_of(other.record, "checkpointing") != "none" ||
        others(other.record, "checkpointing") != key) {
      continue;
    }
    const std::int64_t freed = peak_bytes(other.record) - peak_bytes(cell.record);
    if (freed <= 0) return std::nullopt;
    const double paid_ms = (cell.record.step_time_ns->median - other.record.step_time_ns->median) / 1e6;
    return paid_ms / (static_cast<double>(freed) / (1024.0 * 1024 * 1024));
  }
  return std::nullopt;
}

}  // namespace stepscope
