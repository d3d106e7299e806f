#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "model/base/error.h"
#include "model/program/broken.h"
#include "model/program/operation.h"
#include "model/program/verify.h"

namespace stepscope {

void broken(const char* rule, const Program& program, std::size_t index, const std::string& what) {
  const Operation& op = program.operations[index];
  const bool has_site = op.site.index >= 0 && op.site.index < static_cast<int>(program.sites.size());
  throw ProgramError(rule,
                     fmt::format("operation {} ({}) at {}: {}", index, op.kind == nullptr ? "no kind" : op.kind->name,
                                 has_site ? program.site(op.site).path : "no site", what));
}

namespace {

// The arena as intervals, each with the value whose bytes it holds.
class ArenaMap {
 public:
  void overwrite(std::int64_t begin, std::int64_t end, int owner) {
    split(begin);
    split(end);
    intervals_.erase(intervals_.lower_bound(begin), intervals_.lower_bound(end));
    intervals_[begin] = {end, owner};
  }
  [[nodiscard]] bool holds(std::int64_t begin, std::int64_t end, int owner) const {
    const auto it = intervals_.find(begin);
    return it != intervals_.end() && it->second.end == end && it->second.owner == owner;
  }

 private:
  struct Interval {
    std::int64_t end;
    int owner;
  };
  void split(std::int64_t at) {
    auto it = intervals_.upper_bound(at);
    if (it == intervals_.begin()) return;
    --it;
    if (it->first == at || it->second.end <= at) return;
    intervals_[at] = it->second;
    it->second.end = at;
  }
  std::map<std::int64_t, Interval> intervals_;
};

bool overlap(const Placement& a, std::int64_t begin, std::int64_t end) {
  return a.offset_bytes < end && begin < a.offset_bytes + a.size_bytes;
}

bool in_place_is_legal(const Program& program, const Operation& op, ValueId out, ValueId in) {
  const std::vector<InPlace> rules = in_place_of(op);
  return std::any_of(rules.begin(), rules.end(), [&](const InPlace& rule) {
    if (rule.out >= static_cast<int>(op.outs.size()) || rule.in >= static_cast<int>(op.ins.size())) return false;
    const Operand& operand = op.ins[static_cast<std::size_t>(rule.in)];
    return op.outs[static_cast<std::size_t>(rule.out)] == out && operand.value() == in &&
           operand.view == whole_view(program.value(in).type.shape) &&
           size_bytes(program.value(in).type.dtype) == size_bytes(program.value(out).type.dtype) &&
           std::count_if(op.ins.begin(), op.ins.end(), [&](const Operand& other) { return other.value() == in; }) == 1;
  });
}

void check_place(const Program& program, const MemoryPlan& plan, std::size_t index, const Placement& place,
                 const std::vector<Placement>& ins) {
  if (place.offset_bytes < 0 || place.offset_bytes + place.slot_bytes() > plan.bytes_of(place.memory))
    broken("V3", program, index, fmt::format("%{} lies outside the arena", place.value.index));
  if (place.memory != program.value(place.value).memory)
    broken("V3", program, index, fmt::format("%{} is planned in the other memory", place.value.index));
  if (place.size_bytes != program.value(place.value).type.size_bytes())
    broken("V3", program, index,
           fmt::format("%{} is planned with {} bytes and has {}", place.value.index, place.size_bytes,
                       program.value(place.value).type.size_bytes()));
  for (const Placement& in : ins) {
    if (in.memory != place.memory || !overlap(place, in.offset_bytes, in.offset_bytes + in.size_bytes)) continue;
    if (place.over != in.value || place.offset_bytes != in.offset_bytes ||
        !in_place_is_legal(program, program.operations[index], place.value, in.value))
      broken("V3", program, index,
             fmt::format("%{} may not lie over its operand %{}", place.value.index, in.value.index));
  }
}

// The arenas of both memories, and what copies that run beside others read and fill of them.
struct Arenas {
  ArenaMap device, host;
  std::vector<std::pair<std::size_t, Placement>> copied;  // until an operation

  [[nodiscard]] ArenaMap& of(Memory memory) { return memory == Memory::device ? device : host; }
  void complete(std::size_t operation) {
    std::erase_if(copied, [&](const auto& held) { return held.first <= operation; });
  }
};

void overwrite(const Program& program, std::size_t index, Arenas& arenas, Memory memory, std::int64_t begin,
               std::int64_t end, int owner) {
  const auto touches = [&](const std::pair<std::size_t, Placement>& held) {
    return held.second.memory == memory && overlap(held.second, begin, end);
  };
  if (std::ranges::any_of(arenas.copied, touches))
    broken("V3", program, index, "overwrites what a copy reads or fills that is not awaited");
  arenas.of(memory).overwrite(begin, end, owner);
}

void carry_out(const Program& program, const MemoryPlan& plan, std::size_t index, Arenas& arenas) {
  arenas.complete(index);
  const Operation& op = program.operations[index];
  std::vector<Placement> ins, outs;
  for (const Operand& in : op.ins)
    if (in.is_value()) ins.push_back(plan.placements.at(static_cast<std::size_t>(in.index)));
  for (const ValueId out : op.outs) outs.push_back(plan.placements.at(static_cast<std::size_t>(out.index)));
  for (const Placement& in : ins) {
    const std::int64_t end = in.offset_bytes + in.size_bytes;
    if (!arenas.of(in.memory).holds(in.offset_bytes, end, in.value.index))
      broken("V3", program, index, fmt::format("reads %{}, whose bytes were overwritten", in.value.index));
  }
  if (op.workspace_bytes > 0) {
    const std::int64_t begin = plan.workspace_offsets.at(index), end = begin + op.workspace_bytes;
    if (begin < 0 || end > plan.arena_bytes) broken("V8", program, index, "its workspace lies outside the arena");
    for (const auto* places : {&ins, &outs})
      for (const Placement& place : *places)
        if (place.memory == Memory::device && overlap(place, begin, end))
          broken("V3", program, index, fmt::format("its workspace lies over %{}", place.value.index));
    overwrite(program, index, arenas, Memory::device, begin, end, -1);
  }
  for (std::size_t o = 0; o < outs.size(); ++o) {
    check_place(program, plan, index, outs[o], ins);
    for (std::size_t other = 0; other < o; ++other)
      if (outs[o].memory == outs[other].memory &&
          overlap(outs[o], outs[other].offset_bytes, outs[other].offset_bytes + outs[other].size_bytes))
        broken("V3", program, index, "two outputs lie over each other");
    const std::int64_t begin = outs[o].offset_bytes, end = begin + outs[o].size_bytes;
    overwrite(program, index, arenas, outs[o].memory, begin, end, outs[o].value.index);
  }
  if (!op.runs_beside()) return;
  for (const auto* places : {&ins, &outs})
    for (const Placement& place : *places) arenas.copied.emplace_back(op.complete_before, place);
}

}  // namespace

void verify(const Program& program, const MemoryPlan& plan) {
  Arenas arenas;
  const auto run = [&](Section section) {
    for (std::size_t i = 0; i < program.operations.size(); ++i)
      if (program.operations[i].section == section) carry_out(program, plan, i, arenas);
    arenas.complete(program.operations.size());
  };
  for (int twice = 0; twice < 2; ++twice) {
    run(Section::prologue);
    run(Section::micro);
    run(Section::micro);
    run(Section::update);
  }
}

}  // namespace stepscope
