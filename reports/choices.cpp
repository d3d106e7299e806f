#include "reports/choices.h"

#include <algorithm>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/json_fields.h"
#include "reports/shared_fields.h"

namespace stepscope {

void fields(auto& field, Of<FrontierRow> auto& row) {
  field("value", row.value);
  field("named", row.named);
  field("peak_bytes", row.peak_bytes);
  field("logits_chunks", row.logits_chunks);
  field("step_ns", row.step_ns);
  field("repeated_ns", row.repeated_ns);
  field("wait_ns", row.wait_ns);
  field("dominated_by", row.dominated_by);
  field("repeated", row.repeated);
}
void fields(auto& field, Of<PriceRow> auto& row) {
  field("target", row.target);
  field("freed_bytes", row.freed_bytes);
  field("added_ns", row.added_ns);
  field("dominated_by", row.dominated_by);
}
void fields(auto& field, Of<ChoiceGroup> auto& group) {
  field("title", group.title);
  field("cells", group.cells);
  field("state_bytes", group.state_bytes);
  field("frontier", group.frontier);
  field("dominated", group.dominated);
  field("prices", group.prices);
}
void fields(auto& field, Of<CardMemory> auto& card) {
  field("name", card.name);
  field("title", card.title);
  field("memory_bytes", card.memory_bytes);
  field("beside_bytes", card.beside_bytes);
  field("estimated", card.estimated);
}
void fields(auto& field, Of<Choices> auto& choices) {
  field("times_of", choices.times_of);
  field("groups", choices.groups);
  field("groups_left_out", choices.groups_left_out);
  field("cards", choices.cards);
}

double ns_per_gib(const PriceRow& row) {
  return row.added_ns / static_cast<double>(row.freed_bytes) * (1024.0 * 1024 * 1024);
}

std::vector<std::size_t> rungs_of(const std::vector<FrontierRow>& frontier, std::size_t most) {
  std::vector<std::size_t> rungs;
  if (frontier.empty() || most < 2) return rungs;
  const std::size_t last = frontier.size() - 1;
  const std::int64_t spacing =
      (frontier.front().peak_bytes - frontier.back().peak_bytes) / static_cast<std::int64_t>(most - 1);
  for (std::size_t i = 0; i < frontier.size(); ++i) {
    if (i > 0 && frontier[i].value == frontier[i - 1].value) continue;  // written alike, it gives the faster one
    const bool far = rungs.empty() || frontier[rungs.back()].peak_bytes - frontier[i].peak_bytes >= spacing;
    const bool near_the_end = frontier[i].peak_bytes - frontier[last].peak_bytes < spacing / 2;
    if (frontier[i].value == frontier[last].value || (far && (rungs.empty() || !near_the_end))) rungs.push_back(i);
  }
  return rungs;
}

namespace {

// Sums and differences of any two of them are numbers too.
bool is_amount(std::int64_t bytes) { return bytes >= 0 && bytes <= std::int64_t{1} << 60; }
bool is_time(double ns) { return ns >= 0 && ns <= 1e18; }

void check(const Choices& choices, const std::string& file) {
  const auto require = [&](bool right, const char* key) {
    if (!right)
      throw UsageError(
          fmt::format("{}: key \"{}\": a size from 0 to 2^60 bytes or a time from 0 to 1e18 ns is needed", file, key));
  };
  for (const ChoiceGroup& group : choices.groups) {
    require(is_amount(group.state_bytes), "groups.state_bytes");
    for (const std::vector<FrontierRow>* rows : {&group.frontier, &group.dominated})
      for (const FrontierRow& row : *rows)
        require(is_amount(row.peak_bytes) && is_time(row.step_ns) && is_time(row.repeated_ns), "groups.frontier");
    for (const PriceRow& row : group.prices)
      require(is_amount(row.freed_bytes < 0 ? -1 - row.freed_bytes : row.freed_bytes) && is_time(row.added_ns),
              "groups.prices");
  }
  if (choices.cards)
    for (const CardMemory& card : *choices.cards)
      require(is_amount(card.memory_bytes) && is_amount(card.beside_bytes), "cards");
}

}  // namespace

Choices read_choices(const std::filesystem::path& file) {
  const nlohmann::ordered_json json = parse_json_file(file.string());
  require_schema(json, choices_schema, file.string());
  Choices choices;
  read(json, choices, Place{file.string(), ""});
  check(choices, file.string());
  return choices;
}

void write_choices(const std::filesystem::path& file, const Choices& choices) {
  nlohmann::ordered_json json{{"schema", choices_schema}};
  json.update(written(choices));
  write_atomically(file, json.dump(1) + "\n");
}

}  // namespace stepscope
