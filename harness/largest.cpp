#include "harness/largest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "harness/planned.h"
#include "model/base/error.h"

namespace stepscope {

namespace {

// Numbers 1 to last, each probed once, and the gap between one that fits and the next one known not to.
class Searcher {
 public:
  Searcher(std::int64_t last, std::int64_t limit_bytes, const std::function<Probe(std::int64_t)>& probe)
      : last_(last), limit_bytes_(limit_bytes), probe_(probe) {}

  Search run(std::int64_t start) {
    fits(std::clamp<std::int64_t>(start, 1, last_));
    do {
      close_gap();
    } while (fits_again());
    Search search{.value = low(),
                  .at = low() > 0 ? known_.at(low()) : Probe{},
                  .holes = {},
                  .probes = static_cast<int>(known_.size())};
    for (const auto& [number, probe] : known_)
      if (number < search.value && probe.verdict == Probe::Verdict::too_big) search.holes.push_back(number);
    return search;
  }

 private:
  bool fits(std::int64_t number) {
    auto found = known_.find(number);
    if (found == known_.end()) found = known_.emplace(number, probe_(number)).first;
    return found->second.verdict == Probe::Verdict::fits;
  }

  [[nodiscard]] std::int64_t low() const {
    for (auto it = known_.rbegin(); it != known_.rend(); ++it)
      if (it->second.verdict == Probe::Verdict::fits) return it->first;
    return 0;
  }
  [[nodiscard]] std::int64_t high() const {  // last + 1: none is known not to fit
    const auto above = known_.upper_bound(low());
    return above == known_.end() ? last_ + 1 : above->first;
  }

  // Bytes are nearly linear in what is searched, so that a line through two plans mostly hits; where it does not, halves.
  void close_gap() {
    for (int tries = 0; low() + 1 < high(); ++tries) {
      const std::int64_t from = low(), to = high();
      std::int64_t guess = tries % 3 == 2 && to <= last_ ? from + (to - from) / 2 : by_line(from, to);
      if (to > last_) guess = std::min(guess, 4 * std::max<std::int64_t>(from, 1));
      fits(std::clamp(guess, from + 1, std::min(to - 1, last_)));
    }
  }

  // Where the line through the plans on both sides of the gap, or the two nearest on one side, meets the limit.
  [[nodiscard]] std::int64_t by_line(std::int64_t from, std::int64_t to) const {
    std::vector<std::int64_t> exact;
    for (const auto& [number, probe] : known_)
      if (probe.exact && probe.verdict != Probe::Verdict::refused) exact.push_back(number);
    const auto above = std::upper_bound(exact.begin(), exact.end(), from);
    if (exact.size() < 2) return from > 0 ? 2 * from : to / 2;
    auto right = above == exact.end() ? above - 1 : above;
    if (right == exact.begin()) ++right;
    const std::int64_t a = *(right - 1), b = *right;
    const auto bytes = [&](std::int64_t number) { return static_cast<double>(known_.at(number).bytes); };
    const double slope = (bytes(b) - bytes(a)) / static_cast<double>(b - a);
    if (slope <= 0) return from > 0 ? 2 * from : to / 2;
    const double meets = static_cast<double>(a) + (static_cast<double>(limit_bytes_) - bytes(a)) / slope;
    return std::llround(std::floor(std::clamp(meets, 0.0, static_cast<double>(last_))));
  }

  // Looks around the answer: true where a larger number fits after all.
  bool fits_again() {
    const std::int64_t found = low();
    for (const std::int64_t below : {found - 1, found - 2, 3 * found / 4, found / 2})
      if (below >= 1) fits(below);
    for (const std::int64_t above : {found + 2, found + 3, found + found / 4, found + found / 2, 2 * found})
      if (above > found + 1 && above <= last_ && fits(above)) return true;
    return false;
  }

  std::int64_t last_, limit_bytes_;
  const std::function<Probe(std::int64_t)>& probe_;
  std::map<std::int64_t, Probe> known_;
};

constexpr Dimension rows[] = {
    {"batch", "global_batch", "rows of a micro-batch are added, accumulation stays"},
    {"sequence", "sequence", "every length up to max_sequence"},
    {"layers", "layers", "every number of blocks"},
    {"hidden", "hidden", "heads of the same head_dim are added, kv_heads and mlp_hidden stay in proportion"}};

// The values of a dimension: 1 to last times the step, and the fields that go with one.
struct Ladder {
  std::int64_t step = 1, last = 1, start = 1;
  std::vector<std::pair<std::string, std::int64_t>> along = {};  // other fields, at `start`: they keep their proportion
  std::vector<std::pair<std::string, std::int64_t>> fixed = {};

  [[nodiscard]] std::vector<std::pair<std::string, std::int64_t>> at(const std::string& field, std::int64_t k) const {
    std::vector<std::pair<std::string, std::int64_t>> values{{field, step * k}};
    for (const auto& [name, value] : along) values.emplace_back(name, value / start * k);
    values.insert(values.end(), fixed.begin(), fixed.end());
    return values;
  }
};

Ladder ladder_of(const Configuration& c, const Dimension& dimension) {
  const auto most = [&](std::string_view field) { return static_cast<std::int64_t>(field_named(field, "").most); };
  if (dimension.name == "batch") {
    const std::int64_t micro_steps = recipe_of(c).micro_steps;
    return {.step = micro_steps,
            .last = most("global_batch") / micro_steps,
            .start = c.training.global_batch / micro_steps};
  }
  if (dimension.name == "sequence") return {.last = c.model.max_sequence, .start = c.training.sequence};
  if (dimension.name == "layers") return {.last = most("layers"), .start = c.model.layers};
  const ModelSettings& m = c.model;
  const std::int64_t parts = std::gcd(std::gcd(m.hidden, m.heads), std::gcd(m.kv_heads, m.mlp_hidden));
  std::int64_t last = std::min(most("hidden") / (m.hidden / parts), most("mlp_hidden") / (m.mlp_hidden / parts));
  last = std::min({last, most("heads") / (m.heads / parts), most("kv_heads") / (m.kv_heads / parts)});
  return {.step = m.hidden / parts,
          .last = last,
          .start = parts,
          .along = {{"heads", m.heads}, {"kv_heads", m.kv_heads}, {"mlp_hidden", m.mlp_hidden}},
          .fixed = {{"head_dim", m.head_dim}}};
}

MatrixCell with_values(const MatrixCell& cell, const std::vector<std::pair<std::string, std::int64_t>>& values) {
  Assignments given = *cell.given;
  for (const auto& [name, value] : values) {
    const Field& field = field_named(name, "--largest");
    assign(given, {&field, value, "--largest", field.section + "." + field.name});
  }
  MatrixCell changed{.id = cell.id, .configuration = resolve(given)};
  changed.given = std::make_shared<const Assignments>(std::move(given));
  return changed;
}

// Parameters, or copies of them for masters that are elsewhere, their gradients in two bytes or more, two moments: no step has smaller
// states.
std::int64_t least_state_bytes(const Configuration& c) {
  const OffloadChoice offload = recipe_of(c).offload;
  return ((offload.masters ? 0 : 4) + 2 + (offload.moments ? 0 : 8)) * parameter_count(c.model);
}

Probe probe_cell(const MatrixCell& cell, const std::vector<std::pair<std::string, std::int64_t>>& values,
                 const Machine& machine, const MemoryFit& fit, bool planned_anyway = false) {
  try {
    const MatrixCell changed = with_values(cell, values);
    const std::int64_t least = least_state_bytes(changed.configuration);
    if (!planned_anyway && fit.margin_bytes(least, 0) < 0)
      return {
          .verdict = Probe::Verdict::too_big, .bytes = fit.memory.bytes - fit.margin_bytes(least, 0), .exact = false};
    const Needs needs = needs_of_cell(changed, machine, fit);
    return {.verdict = needs.fits ? Probe::Verdict::fits : Probe::Verdict::too_big,
            .bytes = fit.memory.bytes - needs.limit_bytes + needs.total()};
  } catch (const UsageError& error) {
    return {.verdict = Probe::Verdict::refused, .why = error.what()};
  }
}

}  // namespace

Search find_largest(std::int64_t start, std::int64_t last, std::int64_t limit_bytes,
                    const std::function<Probe(std::int64_t)>& probe) {
  return Searcher(last, limit_bytes, probe).run(start);
}

std::span<const Dimension> dimensions() { return rows; }

const Dimension& dimension_named(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Dimension& row : rows) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  throw UsageError(fmt::format("--largest {}: must be one of {}", name, fmt::join(names, ", ")));
}

Largest largest_of_cell(const MatrixCell& cell, const Dimension& dimension, const Machine& machine,
                        const MemoryFit& fit) {
  const Ladder ladder = ladder_of(cell.configuration, dimension);
  const std::string field(dimension.field);
  const auto probe = [&](std::int64_t k) { return probe_cell(cell, ladder.at(field, k), machine, fit); };
  const Search search = find_largest(ladder.start, ladder.last, fit.memory.bytes, probe);
  Largest largest{.step = ladder.step,
                  .last = ladder.last * ladder.step,
                  .value = search.value * ladder.step,
                  .next = search.value < ladder.last ? (search.value + 1) * ladder.step : 0,
                  .plans = search.probes};
  for (const std::int64_t hole : search.holes) largest.holes.push_back(hole * ladder.step);
  if (search.value > 0) {
    largest.margin_bytes = fit.memory.bytes - search.at.bytes;
    for (const auto& [name, value] : ladder.at(field, search.value))
      largest.sets.push_back(fmt::format("{}={}", name, value));
  }
  if (largest.next > 0) {
    const Probe beyond = probe_cell(cell, ladder.at(field, search.value + 1), machine, fit, true);
    largest.refused = beyond.why;
    if (beyond.verdict == Probe::Verdict::too_big) largest.short_bytes = beyond.bytes - fit.memory.bytes;
  }
  return largest;
}

}  // namespace stepscope
