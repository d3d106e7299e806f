#include "model/program/program.h"

#include "model/program/operation.h"

namespace stepscope {

View whole_view(const Shape& shape) {
  View view{.offset = 0, .shape = shape, .strides = {}, .micro_stride = 0};
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    view.strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[axis];
  }
  return view;
}

Operand whole(const Program& program, ValueId id) {
  return {Operand::Of::value, id.index, whole_view(program.value(id).type.shape)};
}

Operand whole(const Program& program, StateId id) {
  return {Operand::Of::state, id.index, whole_view(program.state(id).type.shape)};
}

StateId Program::find_state(std::string_view name) const {
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i].name == name) return {static_cast<int>(i)};
  return {};
}

std::vector<StateId> Program::states_of(StateKind kind) const {
  std::vector<StateId> found;
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i].kind == kind) found.push_back({static_cast<int>(i)});
  return found;
}

StateId Program::belonging_to(StateId parameter, StateKind kind, int nth) const {
  for (std::size_t i = 0; i < states.size(); ++i)
    if (states[i].kind == kind && states[i].master == parameter && nth-- == 0) return {static_cast<int>(i)};
  return {};
}

bool Program::is_inside(SiteId inner, SiteId ancestor) const {
  for (; inner.index >= 0; inner = site(inner).parent)
    if (inner == ancestor) return true;
  return false;
}

std::int64_t Program::parameter_count() const {
  std::int64_t count = 0;
  for (const State& state : states)
    if (state.kind == StateKind::parameter) count += state.type.shape.elements();
  return count;
}

std::vector<InPlace> in_place_of(const Operation& operation) {
  std::vector<InPlace> rules = operation.kind->in_place;
  for (const Write& write : operation.writes)
    if (write.is_staged()) rules.push_back({write.out, write.in});
  return rules;
}

std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::prologue: return "prologue";
    case Phase::forward: return "forward";
    case Phase::recompute: return "recompute";
    case Phase::backward: return "backward";
    case Phase::update: return "update";
  }
  return "?";
}

std::string_view name_of(Role role) {
  switch (role) {
    case Role::activation: return "activation";
    case Role::gradient: return "gradient";
    case Role::statistic: return "statistic";
    case Role::scalar: return "scalar";
  }
  return "?";
}

std::string_view name_of(StateKind kind) {
  switch (kind) {
    case StateKind::parameter: return "parameters";
    case StateKind::copy: return "copies";
    case StateKind::gradient: return "gradients";
    case StateKind::moment: return "moments";
    case StateKind::batch: return "batch";
    case StateKind::control: return "control";
  }
  return "?";
}

std::string_view name_of(Section section) {
  switch (section) {
    case Section::prologue: return "prologue";
    case Section::micro: return "micro";
    case Section::update: return "update";
  }
  return "?";
}

std::string_view name_of(Memory memory) { return memory == Memory::device ? "device" : "host"; }

}  // namespace stepscope
