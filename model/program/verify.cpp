#include "model/program/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "model/base/error.h"
#include "model/program/broken.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

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
      if (static_cast<int>(i) < program.operations[static_cast<std::size_t>(maker)].complete_before)
        broken("V1", program, i, fmt::format("reads %{} before the copy that brings it is awaited", in.index));
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

// One past the last operation of the section that an operation stands in.
std::size_t end_of_section(const Program& program, std::size_t index) {
  const Section section = program.operations[index].section;
  while (index < program.operations.size() && program.operations[index].section == section) ++index;
  return index;
}

// Only copies run beside others, inside their section; a state that one reads is not written meanwhile, one that it writes not touched.
void check_copies(const Program& program) {
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    if (!op.runs_beside()) continue;
    const auto until = static_cast<std::size_t>(op.complete_before);
    if (!op.kind->copies) broken("V1", program, i, "is no copy and runs beside others");
    if (until <= i || until > end_of_section(program, i))
      broken("V1", program, i, fmt::format("is complete before operation {}, outside the rest of its section", until));
    for (std::size_t beside = i + 1; beside < until; ++beside)
      for (const Write& write : op.writes) {
        const Operation& other = program.operations[beside];
        const auto reads = [&](const Operand& in) { return in.state() == write.state; };
        if (std::ranges::any_of(other.ins, reads))
          broken("V4", program, beside,
                 fmt::format("reads {} before operation {} has written it", program.state(write.state).name, i));
      }
    for (std::size_t beside = i + 1; beside < until; ++beside)
      for (const Write& write : program.operations[beside].writes) {
        const auto same = [&](const Write& own) { return own.state == write.state; };
        if (!write.is_staged() && (op.ins[0].state() == write.state || std::ranges::any_of(op.writes, same)))
          broken("V4", program, beside,
                 fmt::format("writes {} while operation {} copies it", program.state(write.state).name, i));
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

// Host memory is reached by copies alone; a state there comes in by an operand of its type and goes out by such an output.
void check_memories(const Program& program, std::size_t index) {
  const Operation& op = program.operations[index];
  if (op.kind->copies) return;
  for (const Operand& in : op.ins)
    if ((in.is_value() ? program.value(in.value()).memory : program.state(in.state()).memory) == Memory::host)
      broken("V2", program, index, "reads host memory, which only copies reach");
  for (const Write& write : op.writes) {
    const State& state = program.state(write.state);
    if (write.is_staged() != (state.memory == Memory::host))
      broken("V2", program, index, fmt::format("writes {} in {} memory", state.name, name_of(state.memory)));
    if (!write.is_staged()) continue;
    if (write.in < 0 || write.in >= static_cast<int>(op.ins.size()) || write.out >= static_cast<int>(op.outs.size()) ||
        program.type(op.ins[static_cast<std::size_t>(write.in)]) != state.type ||
        program.value(op.outs[static_cast<std::size_t>(write.out)]).type != state.type)
      broken("V2", program, index, fmt::format("moves {} through what is not of its type", state.name));
  }
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
    check_memories(program, i);
    const std::vector<Output> inferred = op.kind->outputs(program, op);
    if (inferred.size() != op.outs.size()) broken("V2", program, i, "has another number of outputs than its kind");
    for (std::size_t o = 0; o < inferred.size(); ++o)
      if (inferred[o].memory != program.value(op.outs[o]).memory)
        broken("V2", program, i,
               fmt::format("output {} is in {} memory, its kind makes it in the other", o,
                           name_of(program.value(op.outs[o]).memory)));
      else if (inferred[o].type != program.value(op.outs[o]).type)
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
      if (write.is_staged()) continue;  // the copy behind it writes
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

}  // namespace

void verify(const Program& program, const StateHistories* keep_everything) {
  check_phases(program);
  check_defined_before_use(program);
  check_copies(program);
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

}  // namespace stepscope
