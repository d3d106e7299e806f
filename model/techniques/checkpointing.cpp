#include "model/techniques/checkpointing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "model/base/error.h"
#include "model/base/size.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

constexpr std::string_view values =
    "\"none\", \"every-K\" (K from 1), \"budget:SIZE\" (as budget:6GiB), \"budget:P%\", \"budget:auto\", a target or a "
    "list of targets (MLPBlock, AttentionBlock, TransformerBlock, a layer's path, an operation)";
constexpr std::string_view block_class = "TransformerBlock";

// For each operation the number of the region it lies in; -1: in none.
using Regions = std::vector<int>;

// Drops what is made in a region and read by no forward operation outside that region.
void drop_inside(const Program& forward, const Regions& regions, KeepSet& keep) {
  std::vector<int> made_in(forward.values.size(), -1);
  for (std::size_t i = 0; i < forward.operations.size(); ++i)
    for (const ValueId out : forward.operations[i].outs) made_in[static_cast<std::size_t>(out.index)] = regions[i];
  for (std::size_t i = 0; i < forward.operations.size(); ++i)
    for (const Operand& in : forward.operations[i].ins)
      if (in.is_value() && made_in[static_cast<std::size_t>(in.index)] != regions[i])
        made_in[static_cast<std::size_t>(in.index)] = -1;
  std::erase_if(keep, [&](ValueId id) { return made_in[static_cast<std::size_t>(id.index)] >= 0; });
}

// The outermost site of a class or path that an operation lies in; {-1}: none.
SiteId site_matching(const Program& forward, SiteId inner, std::string_view target) {
  SiteId found;
  for (SiteId at = inner; at.index >= 0; at = forward.site(at).parent)
    if (forward.site(at).layer_class == target || (!forward.site(at).path.empty() && forward.site(at).path == target))
      found = at;
  return found;
}

// An operation target is a region for each operation of that name.
Regions regions_of(const Program& forward, std::string_view target, std::string_view technique = "checkpointing") {
  const std::string_view operation = target == "dot_product_attention" ? "attention" : target;
  const bool any_attention = operation == "attention";
  Regions regions;
  bool site_found = false;
  for (const Operation& op : forward.operations) {
    const SiteId site = site_matching(forward, op.site, target);
    regions.push_back(site.index);
    site_found |= site.index >= 0;
  }
  if (site_found) return regions;
  for (std::size_t i = 0; i < forward.operations.size(); ++i) {
    const std::string_view name = forward.operations[i].kind->name;
    if (name == operation || (any_attention && name == "materialised_attention")) regions[i] = static_cast<int>(i);
  }
  if (std::all_of(regions.begin(), regions.end(), [](int region) { return region < 0; }))
    throw UsageError(
        technique == "checkpointing"
            ? fmt::format("checkpointing = {}: no such layer or operation in this model; must be {}", target, values)
            : fmt::format("{}:{}: no such layer or operation in this model; must be a target of checkpointing",
                          technique, target));
  return regions;
}

int blocks_in_group(std::string_view text) {
  constexpr std::string_view prefix = "every-";
  int count = 0;
  if (!text.starts_with(prefix)) return 0;
  const auto [end, error] = std::from_chars(text.data() + prefix.size(), text.data() + text.size(), count);
  return error == std::errc() && end == text.data() + text.size() && count >= 1 ? count : -1;
}

constexpr std::string_view budget_prefix = "budget:";

std::optional<MemoryBudget> budget_named(std::string_view text) {
  text.remove_prefix(budget_prefix.size());
  if (text == "auto") return MemoryBudget{};
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error == std::errc() && std::string_view(end, text.data() + text.size()) == "%")
    return percent > 0 && percent <= 100
               ? std::optional(MemoryBudget{.of = MemoryBudget::Of::share, .share = percent / 100})
               : std::nullopt;
  const std::optional<std::int64_t> bytes = parse_size(text);
  return bytes ? std::optional(MemoryBudget{.of = MemoryBudget::Of::bytes, .bytes = *bytes}) : std::nullopt;
}

void apply(const Choice& choice, StepRecipe& recipe) {
  std::vector<std::string> targets;
  if (const auto* one = std::get_if<std::string>(&choice)) targets = {*one};
  if (const auto* many = std::get_if<std::vector<std::string>>(&choice)) targets = *many;
  const bool nameless = std::any_of(targets.begin(), targets.end(), [](const std::string& t) { return t.empty(); });
  const int blocks = targets.size() == 1 ? blocks_in_group(targets.front()) : 0;
  const bool budget = targets.size() == 1 && targets.front().starts_with(budget_prefix);
  if (budget) recipe.budget = budget_named(targets.front());
  if (budget && recipe.budget) return;
  if (targets.empty() || nameless || blocks < 0 || budget)
    throw UsageError(fmt::format("checkpointing = {}: must be {}", to_string(choice), values));
  if (targets == std::vector<std::string>{"none"})
    recipe.keep = keepable;
  else if (blocks > 0)
    recipe.keep = [blocks](const Program& forward) { return keep_every(forward, blocks); };
  else
    recipe.keep = [targets](const Program& forward) { return keep_outside(forward, targets); };
}

}  // namespace

const Technique checkpointing_technique{"checkpointing", std::string("none"), values, apply};

KeepSet keep_outside(const Program& forward, const std::vector<std::string>& targets) {
  KeepSet keep = keepable(forward);
  for (const std::string& target : targets) drop_inside(forward, regions_of(forward, target), keep);
  return keep;
}

KeepSet made_inside(const Program& forward, const KeepSet& all, std::string_view target, std::string_view technique) {
  const Regions regions = regions_of(forward, target, technique);
  KeepSet inside;
  for (std::size_t i = 0; i < forward.operations.size(); ++i)
    for (const ValueId out : forward.operations[i].outs)
      if (regions[i] >= 0 && all.contains(out)) inside.insert(out);
  return inside;
}

KeepSet keep_every(const Program& forward, int blocks) {
  KeepSet keep = keepable(forward);
  Regions regions;
  std::vector<int> seen;  // sites of blocks, in order
  for (const Operation& op : forward.operations) {
    const int site = site_matching(forward, op.site, block_class).index;
    if (site >= 0 && (seen.empty() || seen.back() != site)) seen.push_back(site);
    regions.push_back(site >= 0 ? (static_cast<int>(seen.size()) - 1) / blocks : -1);
  }
  drop_inside(forward, regions, keep);
  return keep;
}

}  // namespace stepscope
