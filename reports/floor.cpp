#include "reports/floor.h"

#include <algorithm>

#include "model/base/any_block.h"
#include "reports/calibration.h"
#include "reports/names.h"

namespace stepscope {

namespace {

// One run at a time: how many bytes a run moves decides which cache can hold them. A mean over runs of different sizes gives a lower
// floor than they would one by one, never a higher one: both terms are convex.
FloorRow row_of(const SpanSum& span, const Card& ceilings, double peak) {
  const auto runs = static_cast<double>(std::max<std::int64_t>(1, span.count));
  FloorRow row{.phase = span.phase,
               .site = span.site,
               .operation = span.operation,
               .count = span.count,
               .flops = span.flops,
               .bytes = span.bytes,
               .time_ns = span.time_ns};
  row.compute_ns = 1e9 * static_cast<double>(span.flops) / peak;
  row.memory_ns = runs * memory_floor_ns(ceilings, static_cast<double>(span.bytes) / runs);
  row.floor_ns = std::max(row.compute_ns, row.memory_ns);
  return row;
}

template <class Name>
std::vector<FloorRow> summed(const StepFloor& floor, Name&& site_of) {
  std::vector<FloorRow> rows;
  for (const FloorRow& one : floor.rows) {
    const std::string site = site_of(one);
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const FloorRow& row) {
      return row.phase == one.phase && row.operation == one.operation && row.site == site;
    });
    if (same == rows.end()) {
      rows.push_back(one);
      rows.back().site = site;
      continue;
    }
    same->count += one.count;
    same->flops += one.flops;
    same->bytes += one.bytes;
    same->time_ns += one.time_ns;
    same->compute_ns += one.compute_ns;
    same->memory_ns += one.memory_ns;
    same->floor_ns += one.floor_ns;
  }
  return rows;
}

}  // namespace

std::optional<StepFloor> floor_of(const Cell& cell, const Card& ceilings) {
  const double peak = peak_named(ceilings, precision_of(cell.record));
  const std::optional<StepProfile> profile = profile_of(cell);
  if (!profile || peak <= 0 || ceilings.bandwidth <= 0) return std::nullopt;
  StepFloor floor{.step_ns = profile->step_ns, .between_operations_ns = profile->between_operations_ns};
  for (const SpanSum& span : profile->spans) {
    floor.rows.push_back(row_of(span, ceilings, peak));
    floor.floor_ns += floor.rows.back().floor_ns;
  }
  return floor;
}

std::vector<FloorRow> by_layer_kind(const StepFloor& floor) {
  std::vector<FloorRow> rows = summed(floor, [](const FloorRow& row) { return any_block(row.site); });
  std::stable_sort(rows.begin(), rows.end(),
                   [](const FloorRow& a, const FloorRow& b) { return a.above_ns() > b.above_ns(); });
  return rows;
}

std::vector<FloorRow> by_operation(const StepFloor& floor) {
  return summed(floor, [](const FloorRow&) { return std::string(); });
}

std::vector<FloorRow> exceeds(const StepFloor& floor, double tolerance) {
  std::vector<FloorRow> rows;
  for (const FloorRow& row : floor.rows)
    if (row.floor_ns > row.time_ns * (1 + tolerance)) rows.push_back(row);
  return rows;
}

}  // namespace stepscope
