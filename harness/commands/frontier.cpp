#include "harness/commands/frontier.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "reports/format.h"

namespace stepscope {

namespace {

// About twenty of them evenly in bytes, and every named one.
std::vector<FrontierRow> shown_of(const std::vector<FrontierRow>& frontier) {
  constexpr std::int64_t lines = 20;
  const std::int64_t spacing = (frontier.front().peak_bytes - frontier.back().peak_bytes) / lines;
  std::vector<FrontierRow> shown;
  for (const FrontierRow& row : frontier)
    if (shown.empty() || &row == &frontier.back() || row.named || shown.back().peak_bytes - row.peak_bytes >= spacing)
      shown.push_back(row);
  return shown;
}

}  // namespace

void print_frontier(const std::string& times_of, const ChoiceGroup& group) {
  std::vector<FrontierRow> rows = shown_of(group.frontier);
  const std::size_t left_out = group.frontier.size() - rows.size();
  rows.insert(rows.end(), group.dominated.begin(), group.dominated.end());
  std::ranges::stable_sort(rows, std::ranges::greater{}, &FrontierRow::peak_bytes);
  std::size_t width = 13;
  for (const FrontierRow& row : rows) width = std::max(width, row.value.size());
  fmt::print("{}, times of {}\n{:<{}} {:>11} {:>10} {:>9} {:>7}  {}\n", group.title, times_of, "checkpointing", width,
             "peak", "step", "repeated", "chunks", "no better than");
  for (const FrontierRow& row : rows)
    fmt::print("{:<{}} {:>11} {:>10} {:>8.1f}% {:>7}  {}\n", row.value, width,
               format_bytes(static_cast<double>(row.peak_bytes)), format_time(row.step_ns),
               100 * row.repeated_ns / row.step_ns, row.logits_chunks, row.dominated_by);
  if (left_out > 0) fmt::print("{} more between them: --json\n", left_out);
}

void print_frontier_json(const std::string& times_of, const ChoiceGroup& group) {
  for (const std::vector<FrontierRow>* rows : {&group.frontier, &group.dominated})
    for (const FrontierRow& row : *rows) {
      nlohmann::ordered_json line{{"group", group.title},   {"checkpointing", row.value},
                                  {"preset", row.named},    {"predicted_peak", row.peak_bytes},
                                  {"step_ns", row.step_ns}, {"repeated_ns", row.repeated_ns},
                                  {"times_of", times_of},   {"logits_chunks", row.logits_chunks},
                                  {"dominated_by", nullptr}};
      if (!row.dominated_by.empty()) line["dominated_by"] = row.dominated_by;
      fmt::print("{}\n", line.dump());
    }
}

}  // namespace stepscope
