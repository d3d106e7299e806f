// Time against the floor: what the machine could do at best, by operation, and the roofline.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "reports/calibration.h"
#include "reports/figures.h"
#include "reports/floor.h"
#include "reports/format.h"
#include "reports/sections.h"

namespace stepscope {

namespace {

constexpr double tolerance =
    0.05;  // a floor may pass the time of an operation by so much before a ceiling is called too low
constexpr double least_step = 2;  // between bandwidth ceilings that are drawn, as a ratio

std::string rate(double per_second, const char* unit) { return fmt::format("{:.1f} {}", per_second * 1e-9, unit); }

std::string floor_sentence(const Analysis& analysis, const Cell& cell, const StepFloor& floor, const Card& ceilings) {
  const std::string precision = precision_of(cell.record);
  return fmt::format(
      "{}: a profiled step takes {}, at least {} by this machine's ceilings ({} matmuls {}, bytes {} from memory to {} "
      "from the first caches): {} times the floor.",
      analysis.names.label(cell.record), format_time(floor.step_ns), format_time(floor.floor_ns), precision,
      rate(peak_named(ceilings, precision), "GFLOP/s"), rate(ceilings.bandwidth, "GB/s"),
      rate(ceilings.levels.empty() ? ceilings.bandwidth : ceilings.levels.front().bandwidth, "GB/s"),
      format_ratio(floor.step_ns / floor.floor_ns));
}

Table floor_table(const Analysis& analysis, const Cell& cell, const StepFloor& floor) {
  Unit unit = time_unit(floor.step_ns);
  unit.decimals = 2;  // most floors are small parts of a step
  Table table{.name = "floor",
              .caption = fmt::format("{}: distance from the floor by layer, operation and phase, the blocks together; "
                                     "most time above the floor first. FLOPs are those of matmuls: exponentials, "
                                     "roots and random numbers are not in the floor.",
                                     analysis.names.label(cell.record)),
              .columns = {{.title = "layer", .number = false},
                          {.title = "operation", .number = false},
                          {.title = "phase", .number = false},
                          {.title = "time", .unit = unit.name},
                          {.title = "floor", .unit = unit.name},
                          {.title = "above", .unit = unit.name, .help = "time less floor"},
                          {.title = "time / floor"},
                          {.title = "bound by", .number = false, .help = "the greater of the two floors"}},
              .sortable = true,
              .shown_rows = 12};
  const auto add = [&](const FloorRow& row, const std::string& bound, const std::string& mark) {
    const double ratio = row.floor_ns > 0 ? row.time_ns / row.floor_ns : 0;
    table.rows.push_back(
        {text_cell(row.site, mark), text_cell(row.operation, mark), text_cell(row.phase, mark),
         number_cell(in(unit, row.time_ns), row.time_ns, mark), number_cell(in(unit, row.floor_ns), row.floor_ns, mark),
         number_cell(in(unit, row.above_ns()), row.above_ns(), mark),
         row.floor_ns > 0 ? number_cell(format_ratio(ratio), ratio, mark) : no_value(), text_cell(bound, mark)});
  };
  for (const FloorRow& row : by_layer_kind(floor))
    add(row, row.compute_ns > row.memory_ns ? "arithmetic" : "bytes", "");
  add({.phase = "between operations", .time_ns = floor.between_operations_ns}, "", "");
  add({.operation = "all", .time_ns = floor.step_ns, .floor_ns = floor.floor_ns}, "", "best");
  return table;
}

// Which bandwidths are drawn: those of the first caches and of memory, and between them each that is a step lower.
std::vector<BandwidthLevel> drawn_levels(const Card& ceilings) {
  std::vector<BandwidthLevel> drawn;
  for (const BandwidthLevel& level : ceilings.levels)
    if (drawn.empty() || level.bandwidth * least_step <= drawn.back().bandwidth) drawn.push_back(level);
  if (drawn.empty()) return {{.bytes = 0, .bandwidth = ceilings.bandwidth}};
  if (drawn.size() > 1) drawn.pop_back();
  drawn.push_back(ceilings.levels.back());
  return drawn;
}

std::string name_of_level(const BandwidthLevel& level, const Card& ceilings) {
  const double mib = as_double(level.bytes) / 0x1p20;
  std::string name =
      mib < 1 ? fmt::format("arrays of {:.0f} KiB", 1024 * mib) : fmt::format("arrays of {:.0f} MiB", mib);
  if (ceilings.levels.empty() || level.bytes == ceilings.levels.back().bytes)
    name = "memory";
  else if (level.bytes == ceilings.levels.front().bytes)
    name = "first caches";
  return fmt::format("{}: {:.0f} GB/s", name, level.bandwidth * 1e-9);
}

void add_ceilings(Figure& figure, const Analysis& analysis, const Card& ceilings, double least, double most) {
  const auto line = [&](const char* kind, const std::string& name, const std::string& precision, double x0, double y0,
                        double x1, double y1) {
    figure.rows.push_back({kind, "", name, "", precision, "", "", raw(x0), raw(y0), raw(x1), raw(y1), ""});
  };
  double highest = 0;
  std::vector<std::string> drawn;
  for (const Cell* cell : compared_cells(analysis)) {
    const std::string precision = precision_of(cell->record);
    const double peak = peak_named(ceilings, precision);
    if (peak <= 0 || std::find(drawn.begin(), drawn.end(), precision) != drawn.end()) continue;
    drawn.push_back(precision);
    highest = std::max(highest, peak);
  }
  const std::vector<BandwidthLevel> levels = drawn_levels(ceilings);
  least = std::min(least, highest / levels.front().bandwidth / 2);  // so that every ceiling is seen to rise
  for (const std::string& precision : drawn) {
    const double peak = peak_named(ceilings, precision);
    line("peak", fmt::format("{} matmuls: {:.0f} GFLOP/s", precision, peak * 1e-9), precision,
         std::max(least, peak / levels.front().bandwidth), peak, most, peak);
  }
  for (const BandwidthLevel& level : levels) {
    const double ridge = std::min(most, highest / level.bandwidth);
    if (ridge > least)
      line("bandwidth", name_of_level(level, ceilings), "", least, least * level.bandwidth, ridge,
           ridge * level.bandwidth);
  }
}

}  // namespace

std::optional<Figure> roofline_figure(const Analysis& analysis, const Card& ceilings) {
  Figure figure{.name = "roofline",
                .title = "Roofline",
                .caption =
                    "Operations that multiply, by phase: what a byte of their operands is used for against the "
                    "rate reached. Filled: the fastest cell; open: the reference. Lines are the ceilings "
                    "measured on this machine: matmuls by type, bytes by the size of what is gone over.",
                .labels = {{"x", "FLOPs a byte"}, {"y", "rate reached"}},
                .columns = {"kind", "cell", "label", "role", "precision", "operation", "phase", "intensity",
                            "flops_per_second", "end_intensity", "end_flops_per_second", "share_of_step"}};
  double least = 0, most = 0;
  std::size_t points = 0;
  for (const Cell* cell : compared_cells(analysis)) {
    const std::optional<StepFloor> floor = floor_of(*cell, ceilings);
    if (!floor) continue;
    for (const FloorRow& row : by_operation(*floor)) {
      if (row.flops == 0 || row.bytes == 0 || row.time_ns <= 0) continue;
      const double intensity = as_double(row.flops) / as_double(row.bytes);
      figure.rows.push_back({"point", cell->record.id, analysis.names.label(cell->record),
                             cell == analysis.best() ? "fastest" : "reference", precision_of(cell->record),
                             row.operation, row.phase, raw(intensity), raw(1e9 * as_double(row.flops) / row.time_ns),
                             "", "", raw(row.time_ns / floor->step_ns)});
      least = points == 0 ? intensity : std::min(least, intensity);
      most = std::max(most, intensity);
      ++points;
    }
  }
  if (points < 3) return std::nullopt;
  add_ceilings(figure, analysis, ceilings, least / 4, most * 4);
  return figure;
}

std::vector<Block> floor_blocks(const Analysis& analysis) {
  const std::vector<const Cell*> cells = compared_cells(analysis);
  const bool profiled =
      std::any_of(cells.begin(), cells.end(), [](const Cell* c) { return profile_of(*c).has_value(); });
  if (!profiled) return {};
  if (!analysis.run.calibration)
    return {
        note("No floor and no roofline: what this machine does at most was not measured. `stepscope devices "
             "--calibrate` does it in a few seconds, before a run.")};
  const Card ceilings = card_of(*analysis.run.calibration);
  std::vector<Block> blocks;
  std::size_t beaten = 0;
  for (const Cell* cell : cells) {
    const std::optional<StepFloor> floor = floor_of(*cell, ceilings);
    if (!floor) continue;
    blocks.push_back(paragraph(floor_sentence(analysis, *cell, *floor, ceilings)));
    beaten += exceeds(*floor, tolerance).size();
  }
  if (beaten > 0)
    blocks.push_back(note(fmt::format(
        "{} operations were faster than their floor by more than {}: a ceiling was measured too low, so the distances "
        "are too small. Calibrate again while the machine does nothing else.",
        beaten, format_percent(tolerance))));
  if (auto figure = roofline_figure(analysis, ceilings)) blocks.push_back(block(std::move(*figure)));
  const Cell* shown = analysis.best() != nullptr ? analysis.best() : analysis.baseline();
  if (const std::optional<StepFloor> floor = floor_of(*shown, ceilings))
    blocks.push_back(block(floor_table(analysis, *shown, *floor)));
  return blocks;
}

}  // namespace stepscope
