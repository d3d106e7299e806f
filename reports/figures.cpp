#include "reports/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "reports/format.h"

namespace stepscope {

namespace {

constexpr std::size_t fewest_points = 3;
constexpr std::size_t most_labels = 24;
constexpr std::size_t most_curves = 8;
constexpr std::size_t most_operations = 10;

std::string flag(bool value) { return value ? "1" : "0"; }
std::string optional_raw(const std::optional<double>& value, double scale = 1) {
  return value ? raw(*value / scale) : "";
}

bool contains(const std::vector<const Cell*>& cells, const Cell* cell) {
  return std::find(cells.begin(), cells.end(), cell) != cells.end();
}

std::optional<Figure> unless_too_small(Figure figure, std::size_t points) {
  return points < fewest_points ? std::nullopt : std::optional<Figure>(std::move(figure));
}

bool would_run(Outcome outcome) {
  return outcome != Outcome::does_not_fit && outcome != Outcome::skipped && outcome != Outcome::unsupported;
}

// Which points carry a name: all of a small matrix; of a large one the reference, the recommended cell and a few along the frontier.
std::set<const Cell*> named_points(const Analysis& analysis, std::size_t points) {
  std::set<const Cell*> named{analysis.baseline(), analysis.best()};
  if (points <= most_labels) {
    for (const Cell& cell : analysis.run.cells) named.insert(&cell);
    return named;
  }
  const std::vector<const Cell*>& frontier = analysis.answer.frontier;
  const std::size_t count = std::min<std::size_t>(frontier.size(), 6);
  for (std::size_t i = 0; i < count; ++i)
    named.insert(frontier[count == 1 ? 0 : i * (frontier.size() - 1) / (count - 1)]);
  return named;
}

const MemoryTimeline* timeline_of(const Cell& cell) {
  for (const Visit& visit : cell.visits) {
    if (visit.memory && !visit.memory->live_bytes.empty()) return &*visit.memory;
  }
  return nullptr;
}

std::string phase_at(const MemoryTimeline& memory, int operation) {
  std::string phase;
  for (const PhaseStart& start : memory.phases) {
    if (start.operation <= operation) phase = start.phase;
  }
  return phase;
}

// Mean over a window of a twentieth of the curve, cut at its ends.
std::vector<double> smoothed(const std::vector<LossPoint>& losses) {
  const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(losses.size()),
                       reach = std::max<std::ptrdiff_t>(1, count / 40);
  std::vector<double> means(losses.size());
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::ptrdiff_t half = std::min({reach, i, count - 1 - i});  // symmetric, so that a slope stays one
    double sum = 0;
    for (std::ptrdiff_t j = i - half; j <= i + half; ++j) sum += losses[static_cast<std::size_t>(j)].loss;
    means[static_cast<std::size_t>(i)] = sum / static_cast<double>(2 * half + 1);
  }
  return means;
}

}  // namespace

std::vector<const Cell*> compared_cells(const Analysis& analysis) {
  std::vector<const Cell*> cells;
  for (const Cell* cell : {analysis.baseline(), analysis.best()}) {
    if (cell != nullptr && !contains(cells, cell)) cells.push_back(cell);
  }
  return cells;
}

const Visit* learning_visit(const Cell& cell) {
  for (const Visit& visit : cell.visits) {
    if (visit.kind == VisitKind::learning && !visit.losses.empty()) return &visit;
  }
  return nullptr;
}

std::optional<Figure> time_memory_figure(const Analysis& analysis) {
  Figure figure{.name = "time_memory",
                .title = "Time against memory",
                .caption =
                    "Each point is a verified cell: left is smaller, down is faster. The line joins the cells that no "
                    "other beats in "
                    "both; bars are 95 % intervals, cut where they leave the frame.",
                .labels = {{"x", "peak memory"}, {"y", analysis.same_tokens() ? "time of a step" : "time of a token"}},
                .columns = {"cell", "label", "precision", "peak_bytes", "time_ns", "low_ns", "high_ns", "on_frontier",
                            "is_reference", "is_recommended", "is_labelled", "arithmetic"}};
  const auto timed = [](const Cell& cell) { return has_time(cell.record); };
  const auto points =
      static_cast<std::size_t>(std::count_if(analysis.run.cells.begin(), analysis.run.cells.end(), timed));
  const std::set<const Cell*> named = named_points(analysis, points);
  std::int64_t least = 0, most = 0;
  for (const Cell& cell : analysis.run.cells) {
    if (!timed(cell)) continue;
    const Record& record = cell.record;
    least = least == 0 ? peak_bytes(record) : std::min(least, peak_bytes(record));
    most = std::max(most, peak_bytes(record));
    const double per = analysis.same_tokens() ? 1 : static_cast<double>(record.tokens_per_step);
    const bool frontier = contains(analysis.answer.frontier, &cell), reference = &cell == analysis.baseline();
    figure.rows.push_back({record.id, analysis.names.label(record), precision_of(record),
                           std::to_string(peak_bytes(record)), raw(record.step_time_ns->median / per),
                           optional_raw(record.step_time_ns->low, per), optional_raw(record.step_time_ns->high, per),
                           flag(frontier), flag(reference), flag(&cell == analysis.best() && analysis.answer.settled),
                           flag(named.contains(&cell)), record.numerics.arithmetic});
  }
  for (const Fit& fit : analysis.answer.fits) {  // vertical lines, where they fall among the points
    if (fit.bytes < least || fit.bytes > most) continue;
    figure.rows.push_back({"", fit.size, "budget", std::to_string(fit.bytes), "", "", "", "0", "0", "0", "1", ""});
  }
  return unless_too_small(std::move(figure), points);
}

std::optional<Figure> techniques_figure(const std::vector<TechniqueEffect>& techniques) {
  Figure figure{.name = "techniques",
                .title = "What each technique costs and buys",
                .caption =
                    "Small points: one pair of cells that differ in nothing else. Large points: their mean, with its "
                    "95 % interval. Left of "
                    "the line is less.",
                .labels = {{"x", "change of step time"}, {"x2", "change of peak memory"}},
                .columns = {"axis", "change", "held", "kind", "time_ratio", "time_low", "time_high", "memory_ratio"}};
  std::size_t points = 0;
  for (const TechniqueEffect& technique : techniques) {
    const std::string change = fmt::format("{} → {}", technique.from, technique.to);
    const auto add = [&](const std::string& held, const char* kind, const std::optional<Interval>& time,
                         double memory) {
      figure.rows.push_back({technique.axis, change, held, kind, time ? raw(time->middle) : "",
                             time ? optional_raw(time->low) : "", time ? optional_raw(time->high) : "", raw(memory)});
    };
    for (const Effect& effect : technique.effects) add(effect.held, "pair", effect.time, effect.memory);
    add("", "mean", technique.time, technique.memory);
    points += technique.effects.size();
  }
  return unless_too_small(std::move(figure), points);
}

std::optional<Figure> memory_categories_figure(const Analysis& analysis) {
  Figure figure{.name = "memory_categories",
                .title = "What the memory holds at its peak",
                .caption = "Bytes of a whole step by category, as planned.",
                .labels = {{"x", "bytes at the peak"}},
                .columns = {"cell", "label", "category", "start_bytes", "bytes", "total_bytes"}};
  std::size_t cells = 0;
  for (const Cell* cell : analysis.shown) {
    const Bytes& bytes = cell->record.bytes;
    if (bytes.by_category.empty() || !would_run(cell->record.outcome)) continue;
    ++cells;
    std::int64_t start = 0;
    for (const auto& [category, size] : bytes.by_category) {
      figure.rows.push_back({cell->record.id, analysis.names.label(cell->record), category, std::to_string(start),
                             std::to_string(size), std::to_string(bytes.predicted_peak)});
      start += size;
    }
  }
  return unless_too_small(std::move(figure), cells);
}

std::optional<Figure> memory_timeline_figure(const Analysis& analysis) {
  Figure figure{
      .name = "memory_timeline",
      .title = "Memory through one step",
      .caption =
          "Bytes alive at each operation of the plan, workspaces included, above the state that stays. The mark "
          "is where most is needed; the tables below list what lives then.",
      .labels = {{"x", "operation, in the order of the step"}, {"y", "live bytes"}},
      .columns = {"cell", "label", "operation", "phase", "live_bytes", "state_bytes", "is_peak"}};
  for (const Cell* cell : compared_cells(analysis)) {
    const MemoryTimeline* memory = timeline_of(*cell);
    if (memory == nullptr) continue;
    for (std::size_t i = 0; i < memory->live_bytes.size(); ++i) {
      const int operation = static_cast<int>(i);
      figure.rows.push_back({cell->record.id, analysis.names.label(cell->record), std::to_string(i),
                             phase_at(*memory, operation), std::to_string(memory->live_bytes[i]),
                             std::to_string(cell->record.bytes.state), flag(operation == memory->peak_operation)});
    }
  }
  const std::size_t points = figure.rows.size();
  return unless_too_small(std::move(figure), points);
}

std::optional<Figure> time_phases_figure(const Analysis& analysis) {
  Figure figure{.name = "time_phases",
                .title = "Where a step's time goes",
                .caption =
                    "Means of the profiled steps. Recompute is what checkpointing does again; between operations is "
                    "launching and the loop.",
                .labels = {{"x", "time of a profiled step"}},
                .columns = {"cell", "label", "phase", "start_ns", "time_ns", "total_ns"}};
  std::size_t cells = 0;
  for (const Cell* cell : analysis.shown) {
    const std::optional<StepProfile> profile = profile_of(*cell);
    if (!profile) continue;
    ++cells;
    std::map<std::string, double> by_phase;
    for (const SpanSum& span : profile->spans) by_phase[span.phase] += span.time_ns;
    by_phase["between operations"] = std::max(0.0, profile->between_operations_ns);
    double start = 0;
    for (const char* phase : phases_in_order) {
      if (!by_phase.contains(phase)) continue;
      figure.rows.push_back({cell->record.id, analysis.names.label(cell->record), phase, raw(start),
                             raw(by_phase[phase]), raw(profile->step_ns)});
      start += by_phase[phase];
    }
  }
  return unless_too_small(std::move(figure), cells);
}

std::optional<Figure> time_operations_figure(const Analysis& analysis) {
  Figure figure{.name = "time_operations",
                .title = "Time by operation",
                .caption =
                    "The operations of a profiled step, recompute apart from forward; of each operation the reference "
                    "above, the fastest cell below.",
                .labels = {{"x", "time in a profiled step"}},
                .columns = {"cell", "label", "role", "operation", "phase", "start_ns", "time_ns", "total_ns"}};
  std::map<std::string, double> totals;  // of an operation over the compared cells, to order them
  std::vector<std::pair<const Cell*, StepProfile>> profiles;
  for (const Cell* cell : compared_cells(analysis)) {
    std::optional<StepProfile> profile = profile_of(*cell);
    if (!profile) continue;
    for (const SpanSum& span : profile->spans) totals[span.operation] += span.time_ns;
    profiles.emplace_back(cell, std::move(*profile));
  }
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [operation, total] : totals) order.emplace_back(-total, operation);
  std::sort(order.begin(), order.end());
  std::map<std::string, std::string> row_of;  // operation -> the name it is drawn under
  std::vector<std::string> drawn;
  const bool cut = order.size() > most_operations;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool small = cut && i + 1 >= most_operations;
    const std::string name = small ? fmt::format("{} smaller", order.size() - most_operations + 1) : order[i].second;
    row_of[order[i].second] = name;
    if (drawn.empty() || drawn.back() != name) drawn.push_back(name);
  }
  for (const std::string& operation : drawn) {
    for (const auto& [cell, profile] : profiles) {
      std::map<std::string, double> by_phase;
      double total = 0, start = 0;
      for (const SpanSum& span : profile.spans) {
        if (row_of.at(span.operation) != operation) continue;
        by_phase[span.phase] += span.time_ns;
        total += span.time_ns;
      }
      for (const char* phase : phases_in_order) {
        if (!by_phase.contains(phase)) continue;
        figure.rows.push_back({cell->record.id, analysis.names.label(cell->record),
                               cell == analysis.baseline() ? "reference" : "fastest", operation, phase, raw(start),
                               raw(by_phase[phase]), raw(total)});
        start += by_phase[phase];
      }
    }
  }
  return unless_too_small(std::move(figure), totals.size());
}

Figure waterfall_figure(std::string title, const NamedRecord& from, const NamedRecord& to,
                        const Explanation& explanation) {
  Figure figure{
      .name = "difference",
      .title = std::move(title),
      .caption = fmt::format(
          "Contributions to the difference of {} a step; they sum to it exactly. The residual, {}, is what "
          "the profiled visits did otherwise than the timed ones{}.",
          format_time(explanation.difference_ns), format_time(explanation.residual_ns),
          explanation.residual_is_large ? ", more than 2 % of the difference, so read the parts with care" : ""),
      .labels = {{"x", "time of a step"}},
      .columns = {"name", "kind", "start_ns", "end_ns", "difference_ns"}};
  double at = from.record.step_time_ns->median;
  figure.rows.push_back({from.name, "total", "0", raw(at), raw(at)});
  for (const WaterfallStep& step : grouped(explanation, 10)) {
    figure.rows.push_back({step.name, "contribution", raw(at), raw(at + step.difference_ns), raw(step.difference_ns)});
    at += step.difference_ns;
  }
  figure.rows.push_back(
      {"residual", "residual", raw(at), raw(at + explanation.residual_ns), raw(explanation.residual_ns)});
  const std::string end = raw(to.record.step_time_ns->median);
  figure.rows.push_back({to.name, "total", "0", end, end});
  return figure;
}

std::optional<Figure> difference_figure(const Analysis& analysis, const Explanation& explanation) {
  const Record &from = analysis.baseline()->record, &to = analysis.best()->record;
  Figure figure = waterfall_figure("From the reference to the fastest cell", {analysis.names.label(from), from},
                                   {analysis.names.label(to), to}, explanation);
  const std::size_t points = figure.rows.size();
  return unless_too_small(std::move(figure), points);
}

std::optional<Figure> learning_figure(const Analysis& analysis) {
  Figure figure{
      .name = "learning",
      .title = "Learning curves",
      .caption =
          "Loss of each training step over what was read and over the time it took. Thin: every step; thick: mean over "
          "a twentieth of "
          "the curve; points: validation.",
      .labels = {{"y", "loss (nats a token)"}, {"x", "tokens read"}, {"x2", "time"}},
      .columns = {"cell", "label", "precision", "kind", "step", "tokens", "elapsed_ns", "loss", "smoothed_loss"}};
  std::size_t points = 0, curves = 0, others = 0;
  for (const Cell& cell : analysis.run.cells) {
    const Visit* visit = learning_visit(cell);
    if (visit == nullptr) continue;
    ++curves;
    if (&cell != analysis.baseline() && &cell != analysis.best() && ++others > most_curves - 2) continue;
    const std::vector<double> means = smoothed(visit->losses);
    const auto add = [&](const char* kind, const LossPoint& point, const std::string& mean) {
      figure.rows.push_back({cell.record.id, analysis.names.label(cell.record), precision_of(cell.record), kind,
                             std::to_string(point.step), std::to_string(point.tokens_seen),
                             std::to_string(point.elapsed_ns), raw(point.loss), mean});
    };
    for (std::size_t i = 0; i < visit->losses.size(); ++i) add("train", visit->losses[i], raw(means[i]));
    for (const LossPoint& point : visit->validation_losses) add("validation", point, "");
    points = std::max(points, visit->losses.size());
  }
  if (others > most_curves - 2)
    figure.caption +=
        fmt::format(" {} of {} curves are drawn; all are in the table.", curves - others + most_curves - 2, curves);
  return unless_too_small(std::move(figure), points);
}

}  // namespace stepscope
