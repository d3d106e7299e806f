#include "model/program/builder.h"

#include <utility>

#include "model/base/error.h"
#include "model/program/control_block.h"

namespace stepscope {

Builder::Builder(DType compute, DType master) : compute_(compute), master_(master), residual_(compute) {
  program_.sites.push_back({.path = "", .layer_class = "Model", .parent = {}});
  site_ = {0};
  const auto scalars = [&](const char* name, std::int64_t bytes) {
    program_.states.push_back({name, {DType::u8, {bytes}}, StateKind::control, site_, {}, {}});
    return StateId{static_cast<int>(program_.states.size()) - 1};
  };
  program_.control = scalars("control", control_bytes);
  program_.results = scalars("results", results_bytes);
}

Builder::Scope Builder::scope(std::string_view name, std::string_view layer_class) {
  const SiteId outer = site_;
  const std::string& path = program_.site(outer).path;
  program_.sites.push_back({.path = path.empty() ? std::string(name) : path + "." + std::string(name),
                            .layer_class = std::string(layer_class),
                            .parent = outer});
  site_ = {static_cast<int>(program_.sites.size()) - 1};
  return {*this, outer};
}

// Here the copy's state is only made and named; cast_copies (operations/cast) emits the casts that fill it.
Operand Builder::parameter(std::string_view name, const Shape& shape, const Initial& initial, Use use) {
  const std::string& path = program_.site(site_).path;
  const std::string full = name.empty() ? path : path.empty() ? std::string(name) : path + "." + std::string(name);
  if (program_.find_state(full).index >= 0) throw ProgramError("V4", "two parameters are named " + full);
  program_.states.push_back({full, {master_, shape}, StateKind::parameter, site_, {}, initial});
  const StateId parameter{static_cast<int>(program_.states.size()) - 1};
  return use == Use::exact ? whole(program_, parameter) : multiplied(parameter);
}

Operand Builder::multiplied(StateId parameter) {
  if (compute_ == master_) return whole(program_, parameter);
  if (const StateId made = program_.belonging_to(parameter, StateKind::copy); made.index >= 0)
    return whole(program_, made);
  const State& of = program_.state(parameter);
  program_.states.push_back({"copy." + of.name, {compute_, of.type.shape}, StateKind::copy, of.site, parameter, {}});
  return whole(program_, StateId{static_cast<int>(program_.states.size()) - 1});
}

StateId Builder::batch_state(std::string_view name, const TensorType& type) {
  program_.states.push_back({std::string(name), type, StateKind::batch, site_, {}, {}});
  return {static_cast<int>(program_.states.size()) - 1};
}

namespace {
std::vector<ValueId> append_outputs(Program& program, Operation& operation) {
  for (const Output& output : operation.kind->outputs(program, operation)) {
    program.values.push_back({std::string(output.name), output.type, operation.site, output.role, output.memory});
    operation.outs.push_back({static_cast<int>(program.values.size()) - 1});
  }
  return operation.outs;
}
}  // namespace

std::vector<ValueId> Builder::emit(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
                                   std::vector<Write> writes) {
  Operation operation{.kind = &kind,
                      .attributes = attributes,
                      .ins = std::move(ins),
                      .outs = {},
                      .writes = std::move(writes),
                      .site = site_,
                      .phase = Phase::forward,
                      .section = Section::micro};
  std::vector<ValueId> outs = append_outputs(program_, operation);
  program_.operations.push_back(std::move(operation));
  return outs;
}

void Builder::emit_prologue(const OperationKind& kind, std::vector<Operand> ins, std::vector<Write> writes) {
  Operation operation{.kind = &kind,
                      .attributes = {},
                      .ins = std::move(ins),
                      .outs = {},
                      .writes = std::move(writes),
                      .site = site_,
                      .phase = Phase::prologue,
                      .section = Section::prologue};
  const SiteId of_state = program_.state(operation.writes.at(0).state).site;
  if (!program_.site(of_state).path.empty()) operation.site = of_state;
  append_outputs(program_, operation);
  prologue_.push_back(std::move(operation));
}

Operand Builder::rows_of(StateId batch) const {
  Operand part = whole(program_, batch);
  const Shape& all = part.view.shape;
  switch (all.rank()) {
    case 1: part.view.shape = {rows()}; break;
    case 2: part.view.shape = {rows(), all[1]}; break;
    case 3: part.view.shape = {rows(), all[1], all[2]}; break;
    default: part.view.shape = {rows(), all[1], all[2], all[3]};
  }
  part.view.micro_stride = part.view.shape.elements();
  return part;
}

void Builder::set_batch(std::int64_t global_batch, std::int64_t sequence, int micro_steps) {
  program_.global_batch = global_batch;
  program_.sequence = sequence;
  program_.micro_steps = micro_steps;
}

std::vector<RowRange> Builder::row_pieces() const {
  const std::int64_t all = rows() * program_.sequence;
  std::vector<RowRange> pieces;
  for (std::int64_t i = 0; i < row_pieces_; ++i) {
    const std::int64_t first = i * all / row_pieces_, past = (i + 1) * all / row_pieces_;
    pieces.push_back({first, past - first});
  }
  return pieces;
}

void Builder::begin_piece() {
  if (row_pieces_ > 1) program_.pieces.push_back({static_cast<int>(program_.operations.size()), {}});
}

void Builder::end_piece(ValueId loss) {
  if (row_pieces_ > 1) program_.pieces.back().loss = loss;
}

Program Builder::finish(ValueId loss, ValueId logits) && {
  program_.loss = loss;
  program_.logits = program_.pieces.empty() ? logits : ValueId{};
  for (LossPiece& piece : program_.pieces) piece.first += static_cast<int>(prologue_.size());
  program_.operations.insert(program_.operations.begin(), std::make_move_iterator(prologue_.begin()),
                             std::make_move_iterator(prologue_.end()));
  return std::move(program_);
}

}  // namespace stepscope
