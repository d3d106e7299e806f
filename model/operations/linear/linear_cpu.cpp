#include "model/operations/linear/linear_cpu.h"

#include <memory>
#include <string>

#include "model/base/error.h"
#include "model/cpu/matmul.h"
#include "model/cpu/operands.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/linear/linear_body.h"
#include "model/operations/linear/linear_matmuls.h"
#include "model/program/operation.h"

namespace stepscope {

namespace {

// Workspace of the weight gradient: the partial column sums, then the matmul's.
std::int64_t partials_bytes(const Program& program, const Operation& op) {
  if (op.writes.size() < 2) return 0;
  const MatrixView dy = linear_matrix(op, 1);
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
  return matmul_workspace(linear_spec(program, op), machine);
}
std::int64_t linear_weight_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  const MatmulSpec spec = linear_weight_gradient_spec(program, op);
  return partials_bytes(program, op) + matmul_workspace(spec, machine);
}
std::int64_t linear_input_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return matmul_workspace(linear_input_gradient_spec(program, op), machine);
}

CpuRun bind_linear_cpu(const CpuBinding& binding) {
  const auto matmul =
      std::make_shared<const Matmul>(linear_spec(*binding.program, *binding.operation), *binding.machine);
  const MatmulAddresses at{.a = binding.ins[0],
                           .b = binding.ins[1],
                           .c = binding.outs[0],
                           .bias = binding.ins.size() > 2 ? binding.ins[2] : nullptr,
                           .workspace = binding.workspace};
  return [matmul, at, threads = binding.threads] { matmul->run(*threads, at); };
}

CpuRun bind_linear_weight_gradient_cpu(const CpuBinding& binding) {
  const Operation& op = *binding.operation;
  const MatmulSpec spec = linear_weight_gradient_spec(*binding.program, op);
  const auto matmul = std::make_shared<const Matmul>(spec, *binding.machine);
  const bool biased = op.writes.size() > 1;
  const Accumulate weight = op.writes[0].accumulate, bias = biased ? op.writes[1].accumulate : Accumulate::no;
  const std::int64_t partials = partials_bytes(*binding.program, op);
  const auto left = static_cast<std::size_t>(weight_gradient_rows(op));
  return [=, at = binding, dy = linear_matrix(op, 1)] {
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
  const auto matmul = std::make_shared<const Matmul>(linear_input_gradient_spec(*binding.program, *binding.operation),
                                                     *binding.machine);
  const MatmulAddresses at{
      .a = binding.ins[0], .b = binding.ins[1], .c = binding.outs[0], .workspace = binding.workspace};
  return [matmul, at, threads = binding.threads] { matmul->run(*threads, at); };
}

}  // namespace stepscope
