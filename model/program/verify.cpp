#include "model/program/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/base/error.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

[[noreturn]] void broken(const char* rule, const Program& program, std::size_t index, const std::string& what) {
  const Operation& op = program.operations[index];
  const bool has_site = op.site.index >= 0 && op.site.index < static_cast<int>(program.sites.size());
  throw ProgramError(rule,
                     fmt::format("operation {} ({}) at {}: {}", index, op.kind == nullptr ? "no kind" : op.kind->name,
                                 has_site ? program.site(op.site).path : "no site", what));
}

void check_defined_before_use(const Program& program) {
  std::vector<int> born(program.values.size(), -1);
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    for (const Operand& in : op.ins) {
      const std::size_t count = in.is_value() ? program.values.size() : program.states.size();
      if (in.index < 0 || static_cast<std::size_t>(in.index) >= count)
        broken("V1", program, i, "reads what does not exist");
      if (!in.is_value()) continue;
      const int maker = born[static_cast<std::size_t>(in.index)];
      if (maker < 0) broken("V1", program, i, fmt::format("reads %{} before it is made", in.index));
      const Section made_in = program.operations[static_cast<std::size_t>(maker)].section;
      if (made_in != op.section && made_in != Section::prologue)
        broken("V1", program, i,
               fmt::format("reads %{}, which belongs to a single {}-step", in.index, name_of(made_in)));
    }
    for (const ValueId out : op.outs) {
      int& maker = born.at(static_cast<std::size_t>(out.index));
      if (maker >= 0) broken("V1", program, i, fmt::format("makes %{} a second time", out.index));
      maker = static_cast<int>(i);
    }
  }
}

bool lies_inside(const View& view, std::int64_t elements, int micro_steps) {
  std::int64_t last = view.offset + view.micro_stride * (micro_steps - 1);
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    if (view.shape[axis] < 1 || view.strides[static_cast<std::size_t>(axis)] < 0) return false;
    last += (view.shape[axis] - 1) * view.strides[static_cast<std::size_t>(axis)];
  }
  return view.offset >= 0 && last < elements;
}

void check_types(const Program& program) {
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    for (const Operand& in : op.ins) {
      if (!lies_inside(in.view, program.type(in).shape.elements(), program.micro_steps))
        broken("V2", program, i,
               fmt::format("views {} outside {}", to_string(in.view.shape), to_string(program.type(in).shape)));
      if (in.view.micro_stride != 0 && (!in.is_state() || program.state(in.state()).kind != StateKind::batch))
        broken("V2", program, i, "moves on with micro-steps through something that is no batch");
    }
    const std::vector<Output> inferred = op.kind->outputs(program, op);
    if (inferred.size() != op.outs.size()) broken("V2", program, i, "has another number of outputs than its kind");
    for (std::size_t o = 0; o < inferred.size(); ++o)
      if (inferred[o].type != program.value(op.outs[o]).type)
        broken("V2", program, i,
               fmt::format("output {} is {}{}, its kind makes {}{}", o, name_of(program.value(op.outs[o]).type.dtype),
                           to_string(program.value(op.outs[o]).type.shape), name_of(inferred[o].type.dtype),
                           to_string(inferred[o].type.shape)));
  }
}

// Which section may write a kind of state.
bool may_write(StateKind kind, Section section) {
  switch (kind) {
    case StateKind::copy: return section == Section::prologue;
    case StateKind::gradient: return section != Section::prologue;
    case StateKind::parameter:
    case StateKind::moment: return section == Section::update;
    case StateKind::control: return true;
    case StateKind::batch: return false;
  }
  return false;
}

// How many forward operations read each parameter, itself or its copy: so many times is its gradient written in a micro-step.
std::map<StateId, int> readers_of_parameters(const Program& program) {
  std::map<StateId, int> readers;
  for (const Operation& op : program.operations) {
    std::set<StateId> read;
    for (const Operand& in : op.ins) {
      if (op.phase != Phase::forward || !in.is_state()) continue;
      const State& state = program.state(in.state());
      if (state.kind == StateKind::parameter) read.insert(in.state());
      if (state.kind == StateKind::copy) read.insert(state.master);
    }
    for (const StateId parameter : read) ++readers[parameter];
  }
  return readers;
}

void check_writes(const Program& program) {
  const std::map<StateId, int> readers = readers_of_parameters(program);
  std::map<StateId, int> gradient_writes;
  std::set<std::pair<int, Section>> written;
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    for (const Operand& in : op.ins)
      if (in.is_state() && program.state(in.state()).kind == StateKind::parameter &&
          written.contains({in.index, Section::update}))
        broken("V4", program, i, "reads " + program.state(in.state()).name + " after its update");
    for (const Write& write : op.writes) {
      const State& state = program.state(write.state);
      if (!may_write(state.kind, op.section))
        broken("V4", program, i, fmt::format("writes {} in the {} section", state.name, name_of(op.section)));
      if (write.state == program.control) broken("V4", program, i, "writes control, which only an executor sets");
      if (state.kind == StateKind::gradient && op.section == Section::micro) {
        const int earlier = gradient_writes[write.state]++;
        const auto most = readers.find(state.master);
        if (most == readers.end() || earlier >= most->second)
          broken("V4", program, i, "writes " + state.name + " once more than its parameter is read");
        if (write.accumulate != (earlier == 0 ? Accumulate::after_first : Accumulate::always))
          broken("V4", program, i, "does not join " + state.name + " as its turn demands");
      } else if (write.state != program.results && !written.insert({write.state.index, op.section}).second) {
        broken("V4", program, i, "writes " + state.name + " a second time in its section");
      }
    }
  }
  for (const StateId id : program.states_of(StateKind::gradient))
    if (gradient_writes[id] == 0) throw ProgramError("V4", "nothing writes " + program.state(id).name);
}

void check_repeats(const Program& program) {
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    if (op.phase != Phase::recompute) continue;
    if (op.original < 0 || static_cast<std::size_t>(op.original) >= i)
      broken("V5", program, i, "repeats no earlier operation");
    const Operation& first = program.operations[static_cast<std::size_t>(op.original)];
    if (first.phase != Phase::forward || first.kind != op.kind || first.attributes != op.attributes ||
        first.site != op.site)
      broken("V5", program, i, fmt::format("is not the same as operation {}, which it repeats", op.original));
    if (!op.writes.empty()) broken("V5", program, i, "would write a state twice");
  }
}

void check_random_sites(const Program& program) {
  std::set<int> sites;
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    if (!op.kind->random || op.phase != Phase::forward) continue;
    if (op.attributes.random_site < 0) broken("V7", program, i, "draws random numbers from no site");
    if (!sites.insert(op.attributes.random_site).second)
      broken("V7", program, i, fmt::format("shares random site {}", op.attributes.random_site));
  }
}

void check_phases(const Program& program) {
  Section section = Section::prologue;
  bool backward_began = false;
  std::size_t last_loss = 0;  // where a loss is made in parts, backward of one comes before forward of the next
  for (std::size_t i = 0; i < program.operations.size(); ++i)
    for (const LossPiece& piece : program.pieces)
      if (std::ranges::find(program.operations[i].outs, piece.loss) != program.operations[i].outs.end()) last_loss = i;
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    if (op.kind == nullptr) broken("V9", program, i, "has no kind");
    if (op.site.index < 0 || static_cast<std::size_t>(op.site.index) >= program.sites.size() ||
        program.site(op.site).path.empty())
      broken("V9", program, i, "stands at no site");
    if (op.section < section)
      broken("V9", program, i, fmt::format("{} after {}", name_of(op.section), name_of(section)));
    section = op.section;
    const bool fits = section == Section::prologue ? op.phase == Phase::prologue
                      : section == Section::update
                          ? op.phase == Phase::update
                          : op.phase == Phase::forward || op.phase == Phase::recompute || op.phase == Phase::backward;
    if (!fits) broken("V9", program, i, fmt::format("phase {} in section {}", name_of(op.phase), name_of(section)));
    if (section != Section::micro) continue;
    if (op.phase == Phase::forward && backward_began && i > last_loss)
      broken("V9", program, i, "goes forward after backward began");
    backward_began |= op.phase != Phase::forward;
  }
}

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
  return std::any_of(op.kind->in_place.begin(), op.kind->in_place.end(), [&](const InPlace& rule) {
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
  if (place.offset_bytes < 0 || place.offset_bytes + place.slot_bytes() > plan.arena_bytes)
    broken("V3", program, index, fmt::format("%{} lies outside the arena", place.value.index));
  if (place.size_bytes != program.value(place.value).type.size_bytes())
    broken("V3", program, index,
           fmt::format("%{} is planned with {} bytes and has {}", place.value.index, place.size_bytes,
                       program.value(place.value).type.size_bytes()));
  for (const Placement& in : ins) {
    if (!overlap(place, in.offset_bytes, in.offset_bytes + in.size_bytes)) continue;
    if (place.over != in.value || place.offset_bytes != in.offset_bytes ||
        !in_place_is_legal(program, program.operations[index], place.value, in.value))
      broken("V3", program, index,
             fmt::format("%{} may not lie over its operand %{}", place.value.index, in.value.index));
  }
}

void carry_out(const Program& program, const MemoryPlan& plan, std::size_t index, ArenaMap& arena) {
  const Operation& op = program.operations[index];
  std::vector<Placement> ins, outs;
  for (const Operand& in : op.ins)
    if (in.is_value()) ins.push_back(plan.placements.at(static_cast<std::size_t>(in.index)));
  for (const ValueId out : op.outs) outs.push_back(plan.placements.at(static_cast<std::size_t>(out.index)));
  for (const Placement& in : ins)
    if (!arena.holds(in.offset_bytes, in.offset_bytes + in.size_bytes, in.value.index))
      broken("V3", program, index, fmt::format("reads %{}, whose bytes were overwritten", in.value.index));
  if (op.workspace_bytes > 0) {
    const std::int64_t begin = plan.workspace_offsets.at(index), end = begin + op.workspace_bytes;
    if (begin < 0 || end > plan.arena_bytes) broken("V8", program, index, "its workspace lies outside the arena");
    for (const auto* places : {&ins, &outs})
      for (const Placement& place : *places)
        if (overlap(place, begin, end))
          broken("V3", program, index, fmt::format("its workspace lies over %{}", place.value.index));
    arena.overwrite(begin, end, -1);
  }
  for (std::size_t o = 0; o < outs.size(); ++o) {
    check_place(program, plan, index, outs[o], ins);
    for (std::size_t other = 0; other < o; ++other)
      if (overlap(outs[o], outs[other].offset_bytes, outs[other].offset_bytes + outs[other].size_bytes))
        broken("V3", program, index, "two outputs lie over each other");
    arena.overwrite(outs[o].offset_bytes, outs[o].offset_bytes + outs[o].size_bytes, outs[o].value.index);
  }
}

}  // namespace

void verify(const Program& program, const StateHistories* keep_everything) {
  check_phases(program);
  check_defined_before_use(program);
  check_types(program);
  check_writes(program);
  check_repeats(program);
  check_random_sites(program);
  if (keep_everything == nullptr) return;
  const StateHistories histories = state_histories(program);
  if (histories.size() != keep_everything->size())
    throw ProgramError("V6", "another number of states than keep-everything");
  for (std::size_t s = 0; s < histories.size(); ++s)
    if (histories[s] != (*keep_everything)[s])
      throw ProgramError("V6", program.states[s].name + " comes about otherwise than with everything kept");
}

void verify(const Program& program, const MemoryPlan& plan) {
  ArenaMap arena;
  const auto run = [&](Section section) {
    for (std::size_t i = 0; i < program.operations.size(); ++i)
      if (program.operations[i].section == section) carry_out(program, plan, i, arena);
  };
  for (int twice = 0; twice < 2; ++twice) {
    run(Section::prologue);
    run(Section::micro);
    run(Section::micro);
    run(Section::update);
  }
}

}  // namespace stepscope
