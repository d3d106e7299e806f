#include "harness/commands/frontier.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "reports/format.h"

namespace stepscope {

namespace {

const FrontierRow* fastest_within(const ChoiceGroup& group, std::int64_t limit_bytes) {
  const auto found = std::find_if(group.frontier.begin(), group.frontier.end(),
                                  [&](const FrontierRow& row) { return row.peak_bytes <= limit_bytes; });
  return found == group.frontier.end() ? nullptr : &*found;
}

// Where chunks of logits are chosen too, every name would stand there with each number of them.
std::vector<FrontierRow> with_fewest_chunks(const std::vector<FrontierRow>& named) {
  std::vector<FrontierRow> rows;
  for (const FrontierRow& row : named) {
    const auto same = std::ranges::find(rows, row.value, &FrontierRow::value);
    if (same == rows.end())
      rows.push_back(row);
    else if (row.logits_chunks < same->logits_chunks)
      *same = row;
  }
  return rows;
}

// About twenty of them evenly in bytes, every named one and that which is marked.
std::vector<FrontierRow> shown_of(const std::vector<FrontierRow>& frontier, const FrontierRow* marked) {
  constexpr std::int64_t lines = 20;
  const std::int64_t spacing = (frontier.front().peak_bytes - frontier.back().peak_bytes) / lines;
  std::vector<FrontierRow> shown;
  for (const FrontierRow& row : frontier)
    if (shown.empty() || &row == &frontier.back() || row.named || &row == marked ||
        shown.back().peak_bytes - row.peak_bytes >= spacing)
      shown.push_back(row);
  return shown;
}

bool is_row(const FrontierRow& row, const FrontierRow* other) {
  return other != nullptr && row.value == other->value && row.logits_chunks == other->logits_chunks &&
         row.peak_bytes == other->peak_bytes;
}

}  // namespace

void print_frontier(const std::string& times_of, const ChoiceGroup& group, const MemoryFit& fit, bool on_card) {
  const FrontierRow* within = fastest_within(group, fit.limit_bytes(group.state_bytes));
  std::vector<FrontierRow> rows = shown_of(group.frontier, within);
  const std::vector<FrontierRow> named = with_fewest_chunks(group.dominated);
  const std::size_t left_out = group.frontier.size() - rows.size() + group.dominated.size() - named.size();
  rows.insert(rows.end(), named.begin(), named.end());
  std::ranges::stable_sort(rows, std::ranges::greater{}, &FrontierRow::peak_bytes);
  std::size_t width = 13;
  for (const FrontierRow& row : rows) width = std::max(width, row.value.size());
  // What a budget is for: on a card context and libraries too.
  std::int64_t beside = 0;
  if (on_card)
    for (const MemoryPart& part : fit.beside) beside += part.bytes;
  const bool waits = std::ranges::any_of(rows, [](const FrontierRow& row) { return row.wait_ns.has_value(); });
  fmt::print("{}, times of {}\n{:<{}} {:>11} {:>10} {:>9}{} {:>7}  {}\n", group.title, times_of, "checkpointing", width,
             "needs", "step", "repeated", waits ? "  offload waits" : "", "chunks", "no better than");
  for (const FrontierRow& row : rows)
    fmt::print("{:<{}} {:>11} {:>10} {:>8.1f}%{} {:>7}  {}\n", row.value, width,
               format_bytes(static_cast<double>(row.peak_bytes + beside)), format_time(row.step_ns),
               100 * row.repeated_ns / row.step_ns,
               waits ? fmt::format(" {:>14}", row.wait_ns ? format_time(*row.wait_ns) : "") : "", row.logits_chunks,
               is_row(row, within) ? "(the fastest that fits)" : row.dominated_by);
  if (left_out > 0) fmt::print("{} more: --json\n", left_out);
  if (within == nullptr) fmt::print("none of them fits\n");
}

void print_frontier_json(const std::string& times_of, const ChoiceGroup& group, const MemoryFit& fit) {
  const std::int64_t limit = fit.limit_bytes(group.state_bytes);
  for (const std::vector<FrontierRow>* rows : {&group.frontier, &group.dominated})
    for (const FrontierRow& row : *rows) {
      nlohmann::ordered_json line{{"group", group.title},
                                  {"checkpointing", row.value},
                                  {"preset", row.named},
                                  {"predicted_peak", row.peak_bytes},
                                  {"step_ns", row.step_ns},
                                  {"repeated_ns", row.repeated_ns},
                                  {"wait_ns", nullptr},
                                  {"times_of", times_of},
                                  {"logits_chunks", row.logits_chunks},
                                  {"fits", row.peak_bytes <= limit},
                                  {"dominated_by", nullptr}};
      if (row.wait_ns) line["wait_ns"] = *row.wait_ns;
      if (!row.dominated_by.empty()) line["dominated_by"] = row.dominated_by;
      fmt::print("{}\n", line.dump());
    }
}

}  // namespace stepscope
