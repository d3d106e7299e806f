// Makes a forward Program, operation by operation, from inside the layers.
//     Builder b(DType::bf16);
//     {
//       const auto scope = b.scope("mlp", "MLPBlock");                       // sites: "mlp", then "mlp.up"
//       const Operand up = b.parameter("up.weight", {H, M}, lecun_normal(H), Builder::Use::multiplied);
//       const ValueId u = linear(b, x, up, bias);                             // model/operations/linear/linear.h
//     }
//     Program forward = std::move(b).finish(loss);
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/program/operation.h"
#include "model/program/program.h"

namespace stepscope {

struct RowRange {
  std::int64_t first = 0, count = 0;
};

class Builder {
 public:
  // How a parameter is read: multiplied ones (Dense weights and biases) in the compute type, others in fp32.
  enum class Use { multiplied, exact };

  // compute: the type of activations and of multiplied parameters. master: that of parameters (fp32; fp64 in tests).
  explicit Builder(DType compute, DType master = DType::fp32);

  class Scope {
   public:
    Scope(Builder& builder, SiteId outer) : builder_(builder), outer_(outer) {}
    ~Scope() { builder_.site_ = outer_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Builder& builder_;
    SiteId outer_;
  };
  [[nodiscard]] Scope scope(std::string_view name, std::string_view layer_class);

  // A state of the parameter's full name: its site's path, then name (nothing more where name is empty). Where its use asks for another type than the
  // master's, a copy is made that the prologue casts once a step, and the operand names the copy.
  Operand parameter(std::string_view name, const Shape& shape, const Initial& initial, Use use);
  // A parameter that there is already, read a second time by a matmul: itself, or its copy in the compute type.
  Operand multiplied(StateId parameter);
  StateId batch_state(std::string_view name, const TensorType& type);

  // Appends an operation at the current site; its outputs follow from its kind.
  std::vector<ValueId> emit(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
                            std::vector<Write> writes = {});
  void emit_prologue(const OperationKind& kind, std::vector<Operand> ins, std::vector<Write> writes);
  int new_random_site() { return random_sites_++; }

  [[nodiscard]] DType compute() const { return compute_; }
  // The type of the residual stream: that of activations, unless it is set.
  [[nodiscard]] DType residual() const { return residual_; }
  void set_residual(DType type) { residual_ = type; }
  [[nodiscard]] DType master() const { return master_; }
  [[nodiscard]] DType statistic() const { return master_; }  // norms' statistics, logits and losses are never narrow
  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] Operand operand(ValueId id) const { return whole(program_, id); }
  [[nodiscard]] Operand operand(StateId id) const { return whole(program_, id); }
  [[nodiscard]] Operand control() const { return whole(program_, program_.control); }
  [[nodiscard]] Operand results() const { return whole(program_, program_.results); }
  // Rows of one forward pass, and the part of a batch state [global_batch, ..] that the pass reads.
  [[nodiscard]] std::int64_t rows() const { return program_.global_batch / program_.micro_steps; }
  [[nodiscard]] Operand rows_of(StateId batch) const;
  void set_batch(std::int64_t global_batch, std::int64_t sequence, int micro_steps);

  // The end of a forward pass may go over its rows (B S of them) in pieces of about one size, each of which is differentiated at
  // once, so that what a row makes there exists for one piece at a time:
  //     for (const RowRange rows : b.row_pieces()) { b.begin_piece(); ...; b.end_piece(loss); }          // 1: a single pass, as ever
  void set_row_pieces(std::int64_t count) { row_pieces_ = count; }
  [[nodiscard]] std::vector<RowRange> row_pieces() const;
  void begin_piece();
  void end_piece(ValueId loss);

  [[nodiscard]] Program finish(ValueId loss, ValueId logits) &&;

 private:
  DType compute_;
  DType master_;
  DType residual_;
  Program program_;
  SiteId site_;
  std::vector<Operation> prologue_;
  int random_sites_ = 0;
  std::int64_t row_pieces_ = 1;
};

}  // namespace stepscope
