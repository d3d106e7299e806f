// A training step as data: values, states, operations. Techniques transform a Program; planner, cost model, executors
// and observers read it. Nothing else describes a step.
//     Program forward = build_forward(model, types);                 // layers, through Builder
//     Program step = differentiate(forward, keep);                   // program/gradient.h
//     MemoryPlan plan = plan_memory(step);                           // program/memory_plan.h
// Sections run in this order: prologue once, micro `micro_steps` times, update once. `operations` is sorted that way.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "model/base/dtype.h"

namespace stepscope {

struct OperationKind;

struct ValueId {
  int index = -1;
  auto operator<=>(const ValueId&) const = default;
};
struct StateId {
  int index = -1;
  auto operator<=>(const StateId&) const = default;
};
struct SiteId {
  int index = -1;
  auto operator<=>(const SiteId&) const = default;
};

enum class Section : std::uint8_t { prologue, micro, update };
enum class Phase : std::uint8_t { prologue, forward, recompute, backward, update };
enum class Role : std::uint8_t { activation, gradient, statistic, scalar };
// Where bytes lie: with the machine that computes, or in the host's memory, which only copies reach (copy.h). On a CPU both are the host's.
enum class Memory : std::uint8_t { device, host };
enum class StateKind : std::uint8_t { parameter, copy, gradient, moment, batch, control };

// How a write joins what a state holds: overwrites it, overwrites it in the first micro-step and adds later, always adds.
enum class Accumulate : std::uint8_t { no, after_first, always };

// Where in the model something stands. Sites form a tree: "blocks.1" of class TransformerBlock holds "blocks.1.mlp".
struct Site {
  std::string path;  // "blocks.1.mlp.norm"; the root is ""
  std::string layer_class;  // "LayerNorm"
  SiteId parent;  // {-1} for the root
};

struct TensorType {
  DType dtype = DType::fp32;
  Shape shape;
  bool operator==(const TensorType&) const = default;
  [[nodiscard]] std::int64_t size_bytes() const { return shape.elements() * stepscope::size_bytes(dtype); }
};

// Made once a (micro-)step by one operation, never changed afterwards; lies in the arena, in host memory in the host's own.
struct Value {
  std::string name;  // "qkv": what it is at its site
  TensorType type;
  SiteId site = {};
  Role role = Role::activation;
  Memory memory = Memory::device;
};

// How a parameter begins. deviation is the standard deviation of the (truncated) normal.
struct Initial {
  enum class Law : std::uint8_t { zeros, ones, normal, truncated_normal };
  Law law = Law::zeros;
  double deviation = 0;
};

// Persists from step to step, is changed only by declared writes, lies outside the arena.
struct State {
  std::string name;  // "blocks.1.mlp.up.weight", "gradient.blocks.1.mlp.up.weight"
  TensorType type;
  StateKind kind = StateKind::parameter;
  SiteId site = {};
  StateId master;  // the parameter that a copy, gradient or moment belongs to
  Initial initial;
  Memory memory = Memory::device;
};

// Which elements an operand reads: element (i, j, ...) lies at offset + i strides[0] + j strides[1] + ... elements.
// A batch state read in micro-step m starts m * micro_stride elements further.
struct View {
  std::int64_t offset = 0;
  Shape shape;
  std::array<std::int64_t, Shape::max_rank> strides{};
  std::int64_t micro_stride = 0;
  bool operator==(const View&) const = default;
};

[[nodiscard]] View whole_view(const Shape& shape);

struct Operand {
  enum class Of : std::uint8_t { value, state };
  Of of = Of::value;
  int index = -1;
  View view;

  [[nodiscard]] bool is_value() const { return of == Of::value; }
  [[nodiscard]] bool is_state() const { return of == Of::state; }
  [[nodiscard]] ValueId value() const { return {is_value() ? index : -1}; }
  [[nodiscard]] StateId state() const { return {is_state() ? index : -1}; }
  bool operator==(const Operand&) const = default;
};

struct Write {
  StateId state;
  Accumulate accumulate = Accumulate::no;
  // Of a state in host memory: its content comes in by this operand and what it becomes goes out by this output. A copy brings each.
  int in = -1, out = -1;
  [[nodiscard]] bool is_staged() const { return out >= 0; }
  bool operator==(const Write&) const = default;
};

struct MaskKinds {
  bool causal = false;  // query i sees keys j <= i
  bool padding = false;  // keys past a row's length are hidden
  bool custom = false;  // a given [B|1, heads|1, S, S] mask, 1 = visible
  bool operator==(const MaskKinds&) const = default;
};

// How fast rotary positions turn a pair of features (model/operations/rotary). original 0: as theta alone says.
struct RotaryScale {
  double theta = 0;
  double factor = 0, low = 0, high = 0;  // of wavelengths that are long beside `original`
  std::int64_t original = 0;  // tokens
  bool operator==(const RotaryScale&) const = default;
};

// What an operation needs to know besides its operands. One struct, so that "the same operation" is operator==.
struct Attributes {
  DType output =
      DType::fp32;  // of the first output (matmuls always accumulate in fp32, in fp64 where operands are fp64)
  double epsilon = 0;  // norms, adam
  double rate = 0;  // dropout: the share of elements dropped
  double scale = 0;  // attention: scores are multiplied by it
  int heads = 0;
  int head_dim = 0;
  MaskKinds mask = {};
  RotaryScale rotary = {};
  bool transposed_weight = false;  // linear_weight_gradient: the weight is stored [O, I]
  int random_site = -1;  // which stream of random numbers; unique a forward operation
  double beta1 = 0, beta2 = 0, weight_decay = 0;  // adam
  double clip = 0;  // gradient_norm, unscale_gradients: largest norm, 0 = no clipping
  DType probabilities = DType::fp32;  // attention: the type that they are rounded to before they meet v
  Shape whole = {};  // add_rows: of the output
  std::int64_t first_row = 0;  // add_rows: where the piece belongs
  bool skips_overflow = false;  // adam: changes nothing where results.found_inf
  std::int64_t growth_interval = 0;  // update_loss_scale: clean steps before the scale doubles
  std::string algorithm = {};  // key of a library's algorithm; empty where there is only one
  bool operator==(const Attributes&) const = default;
};

struct Operation {
  const OperationKind* kind = nullptr;
  Attributes attributes = {};
  std::vector<Operand> ins = {};
  std::vector<ValueId> outs = {};
  std::vector<Write> writes = {};
  std::int64_t workspace_bytes = 0;  // a cap, set when the program is lowered to a machine
  SiteId site = {};
  Phase phase = Phase::forward;
  Section section = Section::micro;
  int original = -1;  // recompute, backward: the index of the forward operation that this repeats, or differentiates
  // Of a copy between memories: it runs beside the operations behind it and is complete before this one begins, at the latest when its
  // section ends. -1: complete before the next operation, like everything else.
  int complete_before = -1;
  [[nodiscard]] bool runs_beside() const { return complete_before >= 0; }
};

// A run of forward operations at the end that is differentiated as soon as it has run, before the next one begins.
struct LossPiece {
  int first = 0;  // its first operation; it ends where the next piece begins, or with the forward pass
  ValueId loss;  // its part of the loss
};

struct Program {
  std::vector<Site> sites;
  std::vector<Value> values;
  std::vector<State> states;
  std::vector<Operation> operations;
  int micro_steps = 1;
  std::int64_t global_batch = 0;  // rows a step; a micro-step has global_batch / micro_steps
  std::int64_t sequence = 0;
  ValueId loss;  // scalar: what differentiation starts from; the last part of it where there are pieces
  std::vector<LossPiece> pieces;  // of a forward program whose loss is made in parts that add up; empty: whole
  ValueId logits;  // [rows, V]; unset where they never exist whole
  double initial_loss_scale = 1;  // of a program that scales its loss; else 1
  bool tf32 = false;  // fp32 matmuls round their operands to tf32
  StateId control;  // scalars that operations read (control_block.h)
  StateId results;  // scalars that operations write

  [[nodiscard]] const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] const State& state(StateId id) const { return states[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] const Site& site(SiteId id) const { return sites[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] const TensorType& type(const Operand& operand) const {  // of what the operand views, not of the view
    return operand.is_value() ? value(operand.value()).type : state(operand.state()).type;
  }
  [[nodiscard]] StateId find_state(std::string_view name) const;  // {-1} where there is none
  [[nodiscard]] std::vector<StateId> states_of(StateKind kind) const;
  [[nodiscard]] StateId belonging_to(StateId parameter, StateKind kind,
                                     int nth = 0) const;  // its gradient, nth moment, copy
  [[nodiscard]] bool is_inside(SiteId site, SiteId ancestor) const;
  [[nodiscard]] std::int64_t parameter_count() const;
};

[[nodiscard]] Operand whole(const Program& program, ValueId id);
[[nodiscard]] Operand whole(const Program& program, StateId id);

[[nodiscard]] std::string_view name_of(Phase phase);
[[nodiscard]] std::string_view name_of(Role role);
[[nodiscard]] std::string_view name_of(StateKind kind);
[[nodiscard]] std::string_view name_of(Section section);
[[nodiscard]] std::string_view name_of(Memory memory);

}  // namespace stepscope
