// What only a card tells: its kernels, and who holds its memory.
#include <fmt/format.h>

#include <algorithm>

#include "reports/format.h"
#include "reports/sections.h"

namespace stepscope {

namespace {

const Visit* last_visit_with(const Cell& cell, auto&& test) {
  const auto found = std::find_if(cell.visits.rbegin(), cell.visits.rend(),
                                  [&](const Visit& visit) { return visit.outcome == Outcome::ok && test(visit); });
  return found == cell.visits.rend() ? nullptr : &*found;
}

// Names of kernels hold all their template arguments: what is longer is cut here and whole in kernels.csv.
std::string cut_name(const std::string& name) {
  constexpr std::size_t most = 72;
  return name.size() <= most ? name : name.substr(0, most - 1) + "…";
}

std::string place_of_kernel(const KernelSum& kernel) {
  const std::string where = kernel.site.empty() ? "" : " of " + kernel.site;
  return fmt::format("{} {}{}", kernel.phase, kernel.operation, where);
}

}  // namespace

Table kernels_table(const Analysis& analysis, const Cell& cell) {
  const Visit* const visit = last_visit_with(cell, [](const Visit& v) { return !v.kernels.empty(); });
  if (visit == nullptr) return {};
  double largest = 0, steps_ns = 0;
  for (const KernelSum& kernel : visit->kernels) {
    largest = std::max(largest, kernel.time_ns);
    steps_ns += kernel.phase == "outside" ? 0 : kernel.time_ns;
  }
  const Unit unit = time_unit(largest);
  Table table{
      .name = "kernels",
      .caption = fmt::format("{}: kernels, copies and sets of the card in a step, {} in all; whole in kernels.csv.",
                             analysis.names.label(cell.record), format_time(steps_ns)),
      .columns = {{.title = "kernel", .number = false},
                  {.title = "of", .number = false},
                  {.title = "runs"},
                  {.title = "time", .unit = unit.name},
                  {.title = "share", .unit = "%"}},
      .sortable = true,
      .shown_rows = 10};
  for (const KernelSum& kernel : visit->kernels) {
    const bool outside = kernel.phase == "outside";
    const double share = outside || steps_ns == 0 ? 0 : 100 * kernel.time_ns / steps_ns;
    table.rows.push_back({text_cell(cut_name(kernel.name), "code"), text_cell(place_of_kernel(kernel)),
                          number_cell(fmt::format("{:g}", kernel.count), kernel.count),
                          number_cell(in(unit, kernel.time_ns), kernel.time_ns),
                          outside ? no_value() : number_cell(fmt::format("{:.1f}", share), share)});
  }
  return table;
}

Table card_memory_table(const Analysis& analysis) {
  Table table{
      .name = "card_memory",
      .caption =
          "A card's memory by who holds it, in bytes, until it is what the card itself reports. Libraries and the "
          "profiler are known of profiled visits alone; the residual is what nobody named.",
      .columns = {{.title = "cell", .number = false}},
      .sortable = true,
      .shown_rows = 8};
  std::vector<std::string> holders;
  std::vector<std::pair<const Cell*, const Visit*>> shown;
  for (const Cell& cell : analysis.run.cells) {
    const Visit* visit =
        last_visit_with(cell, [](const Visit& v) { return v.kind == VisitKind::profiled && !v.device_memory.empty(); });
    if (visit == nullptr) visit = last_visit_with(cell, [](const Visit& v) { return !v.device_memory.empty(); });
    if (visit == nullptr) continue;
    shown.emplace_back(&cell, visit);
    for (const auto& [holder, bytes] : visit->device_memory)
      if (holder != "residual" && std::find(holders.begin(), holders.end(), holder) == holders.end())
        holders.push_back(holder);
  }
  if (shown.empty()) return {};
  holders.emplace_back("residual");
  for (const std::string& holder : holders) table.columns.push_back({.title = holder});
  table.columns.push_back({.title = "card says"});
  for (const auto& [cell, visit] : shown) {
    std::vector<TableCell> row{text_cell(analysis.names.label(cell->record))};
    for (const std::string& holder : holders) {
      const auto held = std::find_if(visit->device_memory.begin(), visit->device_memory.end(),
                                     [&](const auto& entry) { return entry.first == holder; });
      row.push_back(held == visit->device_memory.end()
                        ? no_value()
                        : number_cell(format_count(as_double(held->second)), as_double(held->second)));
    }
    const double reported = as_double(visit->device_reports_bytes.value_or(0));
    row.push_back(number_cell(format_count(reported), reported));
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace stepscope
