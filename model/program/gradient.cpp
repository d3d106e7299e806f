#include "model/program/gradient.h"

#include <algorithm>
#include <utility>

#include "model/base/error.h"
#include "model/program/add.h"
#include "model/program/copy.h"

namespace stepscope {

namespace {

bool is_trainable(const Program& program, const Operand& operand) {
  if (!operand.is_state()) return false;
  const StateKind kind = program.state(operand.state()).kind;
  return kind == StateKind::parameter || kind == StateKind::copy;
}

}  // namespace

Differentiation::Differentiation(const Program& forward, const KeepSet* keep, std::optional<DType> matrices)
    : program_(forward), forward_count_(static_cast<int>(forward.operations.size())), keep_(keep) {
  producer_.assign(program_.values.size(), -1);
  for (const Operation& op : program_.operations)
    if (op.kind == &copy_to_host_kind) on_host_[op.ins[0].value()] = op.outs[0];
  needs_gradient_.assign(program_.values.size(), 0);
  for (int i = 0; i < forward_count_; ++i) {
    const Operation& op = program_.operations[static_cast<std::size_t>(i)];
    const bool wanted = std::any_of(op.ins.begin(), op.ins.end(), [&](const Operand& in) { return needs(in); });
    for (const ValueId out : op.outs) {
      producer_[static_cast<std::size_t>(out.index)] = i;
      needs_gradient_[static_cast<std::size_t>(out.index)] = wanted;
    }
  }
  for (const StateId parameter : forward.states_of(StateKind::parameter)) {
    const State& master = forward.state(parameter);
    TensorType type = master.type;
    if (matrices && type.shape.rank() == 2) type.dtype = *matrices;
    program_.states.push_back({"gradient." + master.name, type, StateKind::gradient, master.site, parameter, {}});
    gradient_of_[parameter] = {static_cast<int>(program_.states.size()) - 1};
  }
}

bool Differentiation::needs(const Operand& operand) const {
  if (operand.is_state()) return is_trainable(program_, operand);
  return needs_gradient_[static_cast<std::size_t>(operand.index)] != 0;
}

bool Differentiation::has_adjoint(ValueId out) const {
  const auto is_part = [&](const LossPiece& piece) { return piece.loss == out; };
  return out == program_.loss || std::ranges::any_of(program_.pieces, is_part) || adjoint_.contains(out);
}

const Operation* Differentiation::producer(ValueId id) const {
  return &program_.operations[static_cast<std::size_t>(producer_[static_cast<std::size_t>(id.index)])];
}

int Differentiation::readers(ValueId id) const {
  int count = 0;
  for (int i = 0; i < forward_count_; ++i) {
    const Operation& op = program_.operations[static_cast<std::size_t>(i)];
    if (op.kind->copies) continue;
    for (const Operand& in : op.ins) count += in.value() == id ? 1 : 0;
  }
  return count;
}

Operand Differentiation::adjoint(ValueId out) const { return whole(program_, adjoint_.at(out)); }

bool Differentiation::is_kept(ValueId id) const {
  if (on_host_.contains(id)) return false;
  if (keep_ == nullptr || keep_->contains(id)) return true;
  return !program_.operations[static_cast<std::size_t>(producer_[static_cast<std::size_t>(id.index)])].writes.empty();
}

Operand Differentiation::value(const Operand& forward_operand) {
  if (forward_operand.is_state()) return forward_operand;
  Operand read = forward_operand;
  read.index = value(forward_operand.value()).index;
  return read;
}

Operand Differentiation::value(ValueId id) {
  read_by_backward_.insert(id);
  if (is_kept(id)) return whole(program_, id);
  if (!twin_.contains(id)) on_host_.contains(id) ? fetch(id) : repeat(id);
  return whole(program_, twin_.at(id));
}

void Differentiation::fetch(ValueId wanted) {
  Operation back{.kind = &copy_from_host_kind, .ins = {whole(program_, on_host_.at(wanted))}, .phase = Phase::backward};
  back.site = program_.value(wanted).site;
  back.original = current_index_;
  twin_[wanted] = append(std::move(back)).front();
}

// Emits again, in their first order, the operations that `wanted` needs back to kept values, states and earlier twins.
void Differentiation::repeat(ValueId wanted) {
  std::set<int> cone;
  std::vector<ValueId> open{wanted}, fetched;
  while (!open.empty()) {
    const ValueId id = open.back();
    open.pop_back();
    const int producer = producer_[static_cast<std::size_t>(id.index)];
    if (!cone.insert(producer).second) continue;
    for (const Operand& in : program_.operations[static_cast<std::size_t>(producer)].ins)
      if (in.is_value() && !is_kept(in.value()) && !twin_.contains(in.value()))
        (on_host_.contains(in.value()) ? fetched : open).push_back(in.value());
  }
  for (const ValueId id : fetched)
    if (!twin_.contains(id)) fetch(id);
  for (const int index : cone) {
    Operation again = program_.operations[static_cast<std::size_t>(index)];
    const std::vector<ValueId> originals = std::exchange(again.outs, {});
    for (Operand& in : again.ins)
      if (in.is_value() && !is_kept(in.value())) in.index = twin_.at(in.value()).index;
    again.phase = Phase::recompute;
    again.original = index;
    const std::vector<ValueId> twins = append(std::move(again));
    for (std::size_t i = 0; i < originals.size(); ++i)
      if (!is_kept(originals[i]) && !on_host_.contains(originals[i])) twin_[originals[i]] = twins[i];
  }
}

std::vector<ValueId> Differentiation::append(Operation operation) {
  for (const Output& output : operation.kind->outputs(program_, operation)) {
    program_.values.push_back({std::string(output.name), output.type, operation.site, output.role, output.memory});
    operation.outs.push_back({static_cast<int>(program_.values.size()) - 1});
  }
  program_.operations.push_back(std::move(operation));
  return program_.operations.back().outs;
}

std::vector<ValueId> Differentiation::emit(const OperationKind& kind, const Attributes& attributes,
                                           std::vector<Operand> ins, std::vector<Write> writes) {
  return append({.kind = &kind,
                 .attributes = attributes,
                 .ins = std::move(ins),
                 .outs = {},
                 .writes = std::move(writes),
                 .site = current_->site,
                 .phase = Phase::backward,
                 .section = Section::micro,
                 .original = current_index_});
}

void Differentiation::contribute(const Operand& forward_operand,
                                 const std::function<ValueId(std::optional<Operand>)>& make) {
  if (!needs(forward_operand)) return;
  const ValueId id = forward_operand.value();
  const auto so_far = adjoint_.find(id);
  adjoint_[id] = make(so_far == adjoint_.end() ? std::nullopt : std::optional(whole(program_, so_far->second)));
}

void Differentiation::join_rows(const Operand& forward_operand, ValueId gradient) {
  const Shape whole_shape = program_.type(forward_operand).shape;
  const Attributes attributes{.output = program_.value(gradient).type.dtype,
                              .whole = whole_shape,
                              .first_row = forward_operand.view.offset / whole_shape.last()};
  contribute(forward_operand, [&](std::optional<Operand> so_far) {
    std::vector<Operand> ins{whole(program_, gradient)};
    if (so_far) ins.push_back(*so_far);
    return emit(add_rows_kind, attributes, std::move(ins))[0];
  });
}

void Differentiation::contribute(const Operand& forward_operand, ValueId gradient) {
  if (needs(forward_operand) &&
      program_.value(gradient).type.shape.elements() < program_.type(forward_operand).shape.elements())
    return join_rows(forward_operand, gradient);
  contribute(forward_operand, [&](std::optional<Operand> so_far) {
    return so_far ? emit(add_kind, {}, {*so_far, whole(program_, gradient)})[0] : gradient;
  });
}

Write Differentiation::gradient_write(const Operand& parameter) {
  const State& state = program_.state(parameter.state());
  const StateId master = state.kind == StateKind::copy ? state.master : parameter.state();
  const StateId gradient = gradient_of_.at(master);
  return {gradient, written_.insert(gradient).second ? Accumulate::after_first : Accumulate::always};
}

void Differentiation::run() {
  const std::vector<LossPiece>& pieces = program_.pieces;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    run_back(p + 1 < pieces.size() ? pieces[p + 1].first : forward_count_, pieces[p].first);
    piece_ends_.push_back(static_cast<int>(program_.operations.size()));
  }
  run_back(pieces.empty() ? forward_count_ : pieces.front().first, 0);
}

// Puts the gradient of each piece behind it.
void Differentiation::interleave() {
  if (program_.pieces.empty()) return;
  std::vector<Operation> ordered;
  ordered.reserve(program_.operations.size());
  const auto take = [&](int first, int past) {
    for (int i = first; i < past; ++i) ordered.push_back(std::move(program_.operations[static_cast<std::size_t>(i)]));
  };
  take(0, program_.pieces.front().first);
  int gradient_begin = forward_count_;
  for (std::size_t p = 0; p < program_.pieces.size(); ++p) {
    take(program_.pieces[p].first, p + 1 < program_.pieces.size() ? program_.pieces[p + 1].first : forward_count_);
    take(gradient_begin, piece_ends_[p]);
    gradient_begin = piece_ends_[p];
  }
  take(gradient_begin, static_cast<int>(program_.operations.size()));
  program_.operations = std::move(ordered);
}

void Differentiation::run_back(int past, int first) {
  for (int i = past - 1; i >= first; --i) {
    const Operation op = program_.operations[static_cast<std::size_t>(i)];  // a copy: emitting moves the originals
    if (op.section != Section::micro) continue;
    if (std::none_of(op.outs.begin(), op.outs.end(), [&](ValueId out) { return has_adjoint(out); })) continue;
    if (std::none_of(op.ins.begin(), op.ins.end(), [&](const Operand& in) { return needs(in); })) continue;
    if (op.kind->gradient == nullptr)
      throw ProgramError("V2", std::string(op.kind->name) + " has no gradient, at " + program_.site(op.site).path);
    current_ = &op;
    current_index_ = i;
    op.kind->gradient(*this, op);
  }
  current_ = nullptr;
}

KeepSet keepable(const Program& forward) {
  Differentiation d(forward, nullptr);
  d.run();
  std::erase_if(d.read_by_backward_, [&](ValueId id) {
    return !d.program_.operations[static_cast<std::size_t>(d.producer_[static_cast<std::size_t>(id.index)])]
                .writes.empty();
  });
  return d.read_by_backward_;
}

Program differentiate(const Program& forward, const KeepSet& keep, std::optional<DType> matrices) {
  Differentiation d(forward, &keep, matrices);
  d.run();
  d.interleave();
  return std::move(d.program_);
}

}  // namespace stepscope
