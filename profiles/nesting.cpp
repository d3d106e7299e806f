#include "profiles/nesting.h"

#include <algorithm>

#include "model/program/cost.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

using Level = NestedRange::Level;

std::vector<SiteId> layers_around(const Program& program, SiteId site) {  // outermost first, the model itself left out
  std::vector<SiteId> layers;
  for (; site.index >= 0 && !program.site(site).path.empty(); site = program.site(site).parent) layers.push_back(site);
  std::reverse(layers.begin(), layers.end());
  return layers;
}

std::string name_within(const Program& program, SiteId site) {
  const Site& layer = program.site(site);
  const std::string outer = layer.parent.index < 0 ? "" : program.site(layer.parent).path;
  return outer.empty() ? layer.path : layer.path.substr(outer.size() + 1);
}

// What stands open around an operation, the step left out.
std::vector<NestedRange> around(const Program& program, const Operation& op) {
  std::vector<NestedRange> open;
  if (op.section == Section::micro) open.push_back({.level = Level::micro_step, .name = "micro-step"});
  open.push_back({.level = Level::phase, .name = std::string(name_of(op.phase)), .phase = op.phase});
  for (const SiteId layer : layers_around(program, op.site))
    open.push_back({.level = Level::layer, .name = name_within(program, layer), .site = layer, .phase = op.phase});
  return open;
}

std::int64_t bytes_of(const Program& program, const Operation& op, int micro_step) {
  const OperationCost cost = cost_of(program, op, micro_step);
  return cost.read_bytes + cost.written_bytes;
}

bool same(const NestedRange& a, const NestedRange& b) {
  return a.level == b.level && a.site == b.site && a.name == b.name;
}

}  // namespace

Nesting nesting_of(const Program& program) {
  Nesting nesting;
  nesting.closes_after.assign(program.operations.size(), 1);  // each operation's own
  nesting.ranges.push_back({.level = Level::step, .name = "step"});
  std::vector<std::size_t> open;  // without the step and operations
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    const std::vector<NestedRange> wanted = around(program, op);
    std::size_t kept = 0;
    while (kept < std::min(open.size(), wanted.size()) && same(nesting.ranges[open[kept]], wanted[kept])) ++kept;
    if (i > 0) nesting.closes_after[i - 1] += static_cast<int>(open.size() - kept);
    open.resize(kept);
    nesting.first_opened.push_back(static_cast<int>(nesting.ranges.size()));
    for (std::size_t w = kept; w < wanted.size(); ++w) {
      open.push_back(nesting.ranges.size());
      nesting.ranges.push_back(wanted[w]);
    }
    const std::int64_t flops = cost_of(program, op).causal_flops;
    const std::int64_t first_bytes = bytes_of(program, op, 0), later_bytes = bytes_of(program, op, 1);
    nesting.ranges.push_back({.level = Level::operation,
                              .name = std::string(op.kind->name),
                              .site = op.site,
                              .phase = op.phase,
                              .flops = flops,
                              .first_bytes = first_bytes,
                              .later_bytes = later_bytes});
    for (const std::size_t range : open) {
      nesting.ranges[range].flops += flops;
      nesting.ranges[range].first_bytes += first_bytes;
      nesting.ranges[range].later_bytes += later_bytes;
    }
    const std::int64_t later_runs = op.section == Section::micro ? program.micro_steps - 1 : 0;
    NestedRange& step = nesting.ranges.front();
    step.flops += (1 + later_runs) * flops;
    step.first_bytes = step.later_bytes += first_bytes + later_runs * later_bytes;
  }
  if (!program.operations.empty()) nesting.closes_after.back() += static_cast<int>(open.size());
  nesting.first_opened.push_back(static_cast<int>(nesting.ranges.size()));
  return nesting;
}

}  // namespace stepscope
