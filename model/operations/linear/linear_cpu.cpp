#include "model/operations/linear/linear_cpu.h"

#include <memory>
#include <string>

#include "model/base/error.h"
#include "model/cpu/matmul.h"
#include "model/cpu/operands.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/linear/linear_body.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

MatrixView matrix_of_in(const Operation& op, int in, bool may_be_transposed = false) {
  const MatrixView matrix = matrix_of(op.ins[static_cast<std::size_t>(in)].view, op.kind->name);
  if (matrix.transposed && !may_be_transposed)
    throw ProgramError("V2", std::string(op.kind->name) + ": a transposed operand");
  return matrix;
}

MatmulSpec forward_spec(const Program& program, const Operation& op) {
  const MatrixView x = matrix_of_in(op, 0), weight = matrix_of_in(op, 1, true);
  return {.m = x.rows,
          .n = weight.columns,
          .k = weight.rows,
          .transpose_b = weight.transposed,
          .a_stride = x.stride,
          .b_stride = weight.stride,
          .c_stride = weight.columns,
          .in = in_dtype(program, op, 0),
          .out = op.attributes.output,
          .bias = op.ins.size() > 2};
}

// x^T dy, or dy^T x where the weight is stored [O, I]: `rows_in` is the operand whose columns are the gradient's rows.
int rows_in(const Operation& op) { return op.attributes.transposed_weight ? 1 : 0; }

MatmulSpec weight_gradient_spec(const Program& program, const Operation& op) {
  const MatrixView left = matrix_of_in(op, rows_in(op)), right = matrix_of_in(op, 1 - rows_in(op));
  return {.m = left.columns,
          .n = right.columns,
          .k = left.rows,
          .transpose_a = true,
          .a_stride = left.stride,
          .b_stride = right.stride,
          .c_stride = right.columns,
          .in = in_dtype(program, op, 0),
          .out = program.state(op.writes[0].state).type.dtype,
          .may_add = op.writes[0].accumulate != Accumulate::no};
}

MatmulSpec input_gradient_spec(const Program& program, const Operation& op) {
  const MatrixView dy = matrix_of_in(op, 0), weight = matrix_of_in(op, 1, true);
  return {.m = dy.rows,
          .n = weight.rows,
          .k = weight.columns,
          .transpose_b = !weight.transposed,
          .a_stride = dy.stride,
          .b_stride = weight.stride,
          .c_stride = weight.rows,
          .in = in_dtype(program, op, 0),
          .out = op.attributes.output};
}

// Workspace of the weight gradient: the partial column sums, then the matmul's.
std::int64_t partials_bytes(const Program& program, const Operation& op) {
  if (op.writes.size() < 2) return 0;
  const MatrixView dy = matrix_of_in(op, 1);
  const DType sum = program.state(op.writes[1].state).type.dtype;
  return round_up(partial_chunks(dy.rows).count() * dy.columns * size_bytes(sum), 256);
}

template <class T>
void bias_gradient(Threads& threads, const MatrixView& of, const T* dy, Accumulator<T>* partials,
                   Accumulator<T>* gradient, bool add) {
  const Chunks chunks = partial_chunks(of.rows);
  threads.parallel_for(chunks.count(), [&](std::int64_t chunk) {
    sum_rows(Tile{}, dy, of.stride, chunks.begin(chunk), chunks.end(chunk), of.columns, partials + chunk * of.columns);
  });
  add_partials(Tile{}, partials, chunks.count(), of.columns, add, gradient);
}

}  // namespace

std::int64_t linear_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return matmul_workspace(forward_spec(program, op), machine);
}
std::int64_t linear_weight_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  const MatmulSpec spec = weight_gradient_spec(program, op);
  return partials_bytes(program, op) + matmul_workspace(spec, machine);
}
std::int64_t linear_input_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return matmul_workspace(input_gradient_spec(program, op), machine);
}

CpuRun bind_linear_cpu(const CpuBinding& binding) {
  const auto matmul =
      std::make_shared<const Matmul>(forward_spec(*binding.program, *binding.operation), *binding.machine);
  const MatmulAddresses at{.a = binding.ins[0],
                           .b = binding.ins[1],
                           .c = binding.outs[0],
                           .bias = binding.ins.size() > 2 ? binding.ins[2] : nullptr,
                           .workspace = binding.workspace};
  return [matmul, at, threads = binding.threads] { matmul->run(*threads, at); };
}

CpuRun bind_linear_weight_gradient_cpu(const CpuBinding& binding) {
  const Operation& op = *binding.operation;
  const MatmulSpec spec = weight_gradient_spec(*binding.program, op);
  const auto matmul = std::make_shared<const Matmul>(spec, *binding.machine);
  const bool biased = op.writes.size() > 1;
  const Accumulate weight = op.writes[0].accumulate, bias = biased ? op.writes[1].accumulate : Accumulate::no;
  const std::int64_t partials = partials_bytes(*binding.program, op);
  const auto left = static_cast<std::size_t>(rows_in(op));
  return [=, at = binding, dy = matrix_of_in(op, 1)] {
    Threads& threads = *at.threads;
    if (biased)
      dispatch(spec.in, [&]<class T>() {
        using A = Accumulator<T>;
        bias_gradient(threads, dy, at.in<const T>(1), reinterpret_cast<A*>(at.workspace), at.write<A>(1),
                      adds(bias, *at.control));
      });
    matmul->run(threads, {.a = at.ins[left],
                          .b = at.ins[1 - left],
                          .c = at.writes[0],
                          .workspace = at.workspace + partials,
                          .add = adds(weight, *at.control)});
  };
}

CpuRun bind_linear_input_gradient_cpu(const CpuBinding& binding) {
  const auto matmul =
      std::make_shared<const Matmul>(input_gradient_spec(*binding.program, *binding.operation), *binding.machine);
  const MatmulAddresses at{
      .a = binding.ins[0], .b = binding.ins[1], .c = binding.outs[0], .workspace = binding.workspace};
  return [matmul, at, threads = binding.threads] { matmul->run(*threads, at); };
}

}  // namespace stepscope
