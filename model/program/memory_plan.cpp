#include "model/program/memory_plan.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "model/program/liveness.h"

namespace stepscope {

namespace {

enum class Fit { smallest_gap, lowest_gap };

// Placed buffers by offset, once for the whole step and for each half, quarter, ... of it in which they live: what is alive together
// with a short-lived buffer is in a short list.
class Placed {
 public:
  Placed(const std::vector<Buffer>& buffers, const std::vector<std::int64_t>& offsets)
      : buffers_(buffers), offsets_(offsets) {
    int operations = 1;
    for (const Buffer& buffer : buffers) operations = std::max(operations, buffer.dies + 1);
    int leaf = 64;  // operations; their lists' length and the number of lists balance there
    while (operations > 1024 * leaf) leaf *= 2;
    for (span_ = leaf; span_ < operations; span_ *= 2) ++levels_;
    parts_.resize((std::size_t{2} << levels_) - 1);
  }

  void clear() {
    for (std::vector<int>& part : parts_) part.clear();
  }

  // All that are alive while the buffer is, and some others.
  [[nodiscard]] const std::vector<int>& around(const Buffer& buffer) const {
    int level = levels_;
    while (level > 0 && at(level, buffer.born) != at(level, buffer.dies)) --level;
    return parts_[at(level, buffer.born)];
  }

  void insert(int index) {
    const Buffer& buffer = buffers_[static_cast<std::size_t>(index)];
    const std::int64_t offset = offsets_[static_cast<std::size_t>(index)];
    const auto below = [&](std::int64_t value, int other) { return value < offsets_[static_cast<std::size_t>(other)]; };
    for (int level = 0; level <= levels_; ++level)
      for (std::size_t part = at(level, buffer.born); part <= at(level, buffer.dies); ++part)
        parts_[part].insert(std::upper_bound(parts_[part].begin(), parts_[part].end(), offset, below), index);
  }

 private:
  [[nodiscard]] std::size_t at(int level, int operation) const {
    return (std::size_t{1} << level) - 1 + static_cast<std::size_t>(operation / (span_ >> level));
  }

  const std::vector<Buffer>& buffers_;
  const std::vector<std::int64_t>& offsets_;
  int levels_ = 0, span_ = 1;  // operations of the only part of level 0
  std::vector<std::vector<int>> parts_;  // of level 0, then the two of level 1, ...
};

// Each buffer into the smallest (or the lowest) gap among placed buffers that overlap it in time, else above them.
std::int64_t place(const std::vector<Buffer>& buffers, const std::vector<int>& order,
                   std::vector<std::int64_t>& offsets, Placed& placed, Fit fit) {
  placed.clear();
  std::int64_t top = 0;
  for (const int index : order) {
    const Buffer& buffer = buffers[static_cast<std::size_t>(index)];
    std::int64_t cursor = 0, best = -1, best_gap = 0;
    for (const int other : placed.around(buffer)) {
      const Buffer& neighbour = buffers[static_cast<std::size_t>(other)];
      if (neighbour.dies < buffer.born || buffer.dies < neighbour.born) continue;
      const std::int64_t offset = offsets[static_cast<std::size_t>(other)];
      const std::int64_t gap = offset - cursor;
      if (gap >= buffer.bytes && (best < 0 || (fit == Fit::smallest_gap && gap < best_gap)))
        best = cursor, best_gap = gap;
      cursor = std::max(cursor, offset + neighbour.bytes);
    }
    offsets[static_cast<std::size_t>(index)] = best >= 0 ? best : cursor;
    top = std::max(top, offsets[static_cast<std::size_t>(index)] + buffer.bytes);
    placed.insert(index);
  }
  return top;
}

// Places in the given order; while the top is above what must be live at once, those who reach it go first next time.
std::int64_t squeaky_wheel(const std::vector<Buffer>& buffers, std::vector<int> order, std::int64_t target,
                           std::vector<std::int64_t>& best_offsets, std::int64_t best, Fit fit) {
  std::vector<std::int64_t> offsets(buffers.size(), 0);
  Placed placed(buffers, offsets);
  for (int round = 0; round < 200; ++round) {
    const std::int64_t top = place(buffers, order, offsets, placed, fit);
    if (best < 0 || top < best) best = top, best_offsets = offsets;
    if (best == target) break;
    std::stable_partition(order.begin(), order.end(), [&](int index) {
      return offsets[static_cast<std::size_t>(index)] + buffers[static_cast<std::size_t>(index)].bytes == top;
    });
  }
  return best;
}

std::int64_t largest_sum(const std::vector<std::int64_t>& sums, int& where) {
  const auto largest = std::max_element(sums.begin(), sums.end());
  if (largest == sums.end()) return 0;
  where = static_cast<int>(largest - sums.begin());
  return *largest;
}

// Offsets of buffers of one memory in an arena of their own; its size. target: their largest sum.
std::int64_t arrange(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& offsets, std::int64_t target) {
  std::vector<int> order(buffers.size());
  std::int64_t best = -1;
  const auto at = [&](int index) -> const Buffer& { return buffers[static_cast<std::size_t>(index)]; };
  const auto try_order = [&](Fit fit, auto before) {
    if (best == target) return;
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return before(at(a), at(b)); });
    best = squeaky_wheel(buffers, order, target, offsets, best, fit);
  };
  const auto length = [](const Buffer& buffer) { return buffer.dies - buffer.born + 1; };
  for (const Fit fit : {Fit::smallest_gap, Fit::lowest_gap}) {
    try_order(fit, [&](const Buffer& a, const Buffer& b) { return a.bytes > b.bytes; });
    try_order(fit, [&](const Buffer& a, const Buffer& b) { return a.born < b.born; });
    try_order(fit, [&](const Buffer& a, const Buffer& b) { return length(a) > length(b); });
    try_order(fit, [&](const Buffer& a, const Buffer& b) { return a.dies > b.dies; });
    try_order(fit, [&](const Buffer& a, const Buffer& b) { return a.bytes * length(a) > b.bytes * length(b); });
  }
  return std::max<std::int64_t>(best, 0);
}

// The same for the buffers of one memory among others.
std::int64_t arrange(const std::vector<Buffer>& buffers, std::vector<std::int64_t>& offsets, std::int64_t target,
                     Memory memory) {
  std::vector<Buffer> own;
  for (const Buffer& buffer : buffers)
    if (buffer.memory == memory) own.push_back(buffer);
  std::vector<std::int64_t> own_offsets(own.size(), 0);
  const std::int64_t size = arrange(own, own_offsets, target);
  for (std::size_t i = 0, next = 0; i < buffers.size(); ++i)
    if (buffers[i].memory == memory) offsets[i] = own_offsets[next++];
  return size;
}

}  // namespace

MemoryPlan plan_memory(const Program& program) {
  const Liveness liveness = find_liveness(program);
  const std::vector<Buffer>& buffers = liveness.buffers;
  const std::size_t operations = program.operations.size();
  MemoryPlan plan;
  int unused = 0;
  plan.largest_sum_bytes = largest_sum(live_bytes(liveness, operations, true), plan.fullest);
  plan.largest_live_bytes = largest_sum(live_bytes(liveness, operations, false), plan.peak);
  plan.host_largest_live_bytes = largest_sum(live_bytes(liveness, operations, true, Memory::host), unused);

  std::vector<std::int64_t> offsets(buffers.size(), 0);
  plan.arena_bytes = arrange(buffers, offsets, plan.largest_sum_bytes, Memory::device);
  plan.host_arena_bytes = arrange(buffers, offsets, plan.host_largest_live_bytes, Memory::host);

  plan.workspace_offsets.assign(operations, -1);
  for (std::size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].workspace_of >= 0)
      plan.workspace_offsets[static_cast<std::size_t>(buffers[i].workspace_of)] = offsets[i];
  for (const Operation& op : program.operations)
    plan.workspace_bytes = std::max(plan.workspace_bytes, op.workspace_bytes);
  plan.placements.reserve(program.values.size());
  for (std::size_t v = 0; v < program.values.size(); ++v) {
    const Lifetime& life = liveness.lifetimes[v];
    plan.placements.push_back({{static_cast<int>(v)},
                               offsets[static_cast<std::size_t>(life.buffer)],
                               program.values[v].type.size_bytes(),
                               life.born,
                               life.dies,
                               life.over,
                               program.values[v].memory});
  }
  return plan;
}

std::vector<Placement> MemoryPlan::live_at(int operation) const {
  std::vector<Placement> live;
  std::map<std::int64_t, std::size_t>
      by_offset;  // a value and what it lies over are one place: the later one stands for both
  for (const Placement& p : placements) {
    if (p.memory != Memory::device || p.born > operation || p.dies < operation) continue;
    const auto [place, fresh] = by_offset.try_emplace(p.offset_bytes, live.size());
    if (fresh)
      live.push_back(p);
    else
      live[place->second] = p;
  }
  std::stable_sort(live.begin(), live.end(),
                   [](const Placement& a, const Placement& b) { return a.size_bytes > b.size_bytes; });
  return live;
}

std::vector<std::int64_t> MemoryPlan::timeline(const Program& program) const {
  return live_bytes(find_liveness(program), program.operations.size(), true);
}

StateBytes state_bytes(const Program& program) {
  StateBytes bytes;
  for (const State& state : program.states) {
    const std::int64_t size = round_up(state.type.size_bytes(), arena_alignment_bytes);
    if (state.memory == Memory::host) {
      bytes.host += size;
      continue;
    }
    switch (state.kind) {
      case StateKind::parameter: bytes.parameters += size; break;
      case StateKind::copy: bytes.copies += size; break;
      case StateKind::gradient: bytes.gradients += size; break;
      case StateKind::moment: bytes.moments += size; break;
      case StateKind::batch: bytes.batch += size; break;
      case StateKind::control: bytes.control += size; break;
    }
  }
  return bytes;
}

std::vector<StateAllocation> state_allocations(const Program& program) {
  std::vector<StateAllocation> allocations;
  for (const StateKind kind : {StateKind::parameter, StateKind::copy, StateKind::gradient, StateKind::moment,
                               StateKind::batch, StateKind::control})
    for (const Memory memory : {Memory::device, Memory::host}) {
      StateAllocation allocation{kind, memory};
      for (const StateId id : program.states_of(kind))
        if (program.state(id).memory == memory) allocation.states.push_back(id);
      if (!allocation.states.empty()) allocations.push_back(std::move(allocation));
    }
  return allocations;
}

}  // namespace stepscope
