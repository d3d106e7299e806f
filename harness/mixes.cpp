#include "harness/mixes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/axes.h"
#include "model/program/cost.h"
#include "model/program/operation.h"
#include "model/techniques/checkpointing.h"

namespace stepscope {

namespace {

constexpr int most_blocks_at_a_time = 8;

// Operations of blocks that multiply no matrices: their repeats cost bytes moved and little else.
bool is_cheap(const Program& forward, const Operation& op) {
  const OperationCost cost = cost_of(forward, op);
  return cost.flops < 64 * (cost.read_bytes + cost.written_bytes);
}

}  // namespace

TechniqueValues technique_values(const Configuration& configuration) {
  TechniqueValues values;
  for (const Technique& technique : techniques())
    values[std::string(technique.name)] = field_named(technique.name, "").get(configuration);
  return values;
}

MatrixCell cell_with(const MatrixCell& base, const std::map<std::string, Choice>& values) {
  Assignments given = *base.given;
  for (const auto& [name, value] : values) {
    const Field& field = field_named(name, "");
    assign(given, {&field, value, "advise", field.section + "." + field.name});
  }
  MatrixCell cell;
  cell.configuration = resolve(given);
  cell.id = cell_id(cell.configuration);
  cell.given = std::make_shared<const Assignments>(std::move(given));
  return cell;
}

bool is_budget(const Choice& checkpointing) { return to_string(checkpointing).starts_with("budget:"); }

std::pair<int, std::int64_t> burden(const TechniqueValues& values) {
  int techniques_on = is_budget(values.at("checkpointing")) ? 1 : 0;
  for (const Technique& technique : techniques())
    techniques_on += values.at(std::string(technique.name)) != technique.off ? 1 : 0;
  return {techniques_on, number_of(values.at("accumulation")) * number_of(values.at("logits_chunks"))};
}

std::vector<CheckpointingChoice> named_checkpointing(const Program& forward) {
  std::vector<CheckpointingChoice> choices{{std::string("none"), keepable(forward)}};
  std::set<KeepSet> met{choices.front().keep};
  const auto add = [&](Choice value, KeepSet keep) {
    if (met.insert(keep).second) choices.push_back({std::move(value), std::move(keep)});
  };
  const auto add_targets = [&](std::vector<std::string> targets) {
    KeepSet keep = keep_outside(forward, targets);
    add(targets.size() == 1 ? Choice(targets.front()) : Choice(targets), std::move(keep));
  };
  std::set<std::string> all, cheap;
  for (const Operation& op : forward.operations) {
    all.emplace(op.kind->name);
    if (is_cheap(forward, op)) cheap.emplace(op.kind->name);
  }
  for (const std::string& name : all) add_targets({name});
  std::erase_if(cheap, [&](const std::string& name) { return keep_outside(forward, {name}) == choices.front().keep; });
  if (cheap.size() > 1) add_targets({cheap.begin(), cheap.end()});
  for (const char* half : {"MLPBlock", "AttentionBlock"}) add_targets({half});
  add_targets({"MLPBlock", "AttentionBlock"});
  add_targets({"TransformerBlock"});
  for (int blocks = 2; blocks <= most_blocks_at_a_time; ++blocks)
    add(fmt::format("every-{}", blocks), keep_every(forward, blocks));
  return choices;
}

std::string in_words(const TechniqueValues& values) {
  std::vector<std::string> parts{to_string(values.at("precision"))};
  const std::string kept = to_string(values.at("checkpointing"));
  if (kept == "none")
    parts.emplace_back("recompute nothing");
  else if (kept.starts_with("every-"))
    parts.push_back(fmt::format("recompute {} blocks at a time", kept.substr(6)));
  else if (kept.starts_with("budget:"))
    parts.push_back(fmt::format("recompute what {} chooses", kept));
  else
    parts.push_back("recompute " + kept);
  const std::int64_t micro_steps = number_of(values.at("accumulation")), chunks = number_of(values.at("logits_chunks"));
  parts.push_back(micro_steps == 1 ? std::string("whole batch") : fmt::format("{} micro-batches", micro_steps));
  if (chunks > 1) parts.push_back(fmt::format("logits in {} chunks", chunks));
  for (const char* name : {"residual_precision", "gradient_precision"})
    if (const Choice& value = values.at(name); value != field_named(name, "").get(Configuration{}))
      parts.push_back(fmt::format("{} = {}", name, to_string(value)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<std::string> sets_of(const TechniqueValues& values, bool all) {
  std::vector<std::string> sets;
  for (const Technique& technique : techniques()) {
    const Choice& value = values.at(std::string(technique.name));
    const bool list = std::holds_alternative<std::vector<std::string>>(value);
    if (all || value != technique.off)
      sets.push_back(fmt::format("{}={}", technique.name, list ? as_toml(value) : to_string(value)));
  }
  return sets;
}

}  // namespace stepscope
