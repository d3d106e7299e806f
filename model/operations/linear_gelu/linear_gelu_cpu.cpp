#include "model/operations/linear_gelu/linear_gelu_cpu.h"

#include <memory>
#include <type_traits>

#include "model/cpu/matmul.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/linear/linear_matmuls.h"
#include "model/operations/linear_gelu/linear_gelu_body.h"

namespace stepscope {

namespace {

bool is_narrow(DType dtype) { return dtype == DType::bf16 || dtype == DType::fp16; }

// Sums of a narrow type are made in the workspace, others where the result will lie.
MatmulSpec with_wide_sums(MatmulSpec spec) {
  if (is_narrow(spec.out)) spec.out = DType::fp32;
  return spec;
}
std::int64_t sums_bytes(const MatmulSpec& spec) {
  return is_narrow(spec.out) ? round_up(spec.m * spec.n * static_cast<std::int64_t>(sizeof(float)), 256) : 0;
}
std::int64_t workspace_of(const MatmulSpec& spec, const Machine& machine) {
  return sums_bytes(spec) + matmul_workspace(with_wide_sums(spec), machine);
}

// The matmul into `result`, or the workspace, then finish(its sums, first element, how many) by pieces.
template <class T, class Finish>
CpuRun multiply_and_finish(const CpuBinding& binding, const MatmulSpec& spec, T* result, Finish finish) {
  using A = Accumulator<T>;
  A* sums = reinterpret_cast<A*>(binding.workspace);
  if constexpr (std::is_same_v<T, A>) sums = result;
  const auto matmul = std::make_shared<const Matmul>(with_wide_sums(spec), *binding.machine);
  const MatmulAddresses at{.a = binding.ins[0],
                           .b = binding.ins[1],
                           .c = reinterpret_cast<std::byte*>(sums),
                           .bias = spec.bias ? binding.ins[2] : nullptr,
                           .workspace = binding.workspace + sums_bytes(spec)};
  const Chunks chunks = element_chunks(spec.m * spec.n);
  return [=, threads = binding.threads] {
    matmul->run(*threads, at);
    threads->parallel_for(chunks.count(),
                          [=](std::int64_t chunk) { finish(sums, chunks.begin(chunk), chunks.length(chunk)); });
  };
}

}  // namespace

std::int64_t linear_gelu_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return workspace_of(linear_spec(program, op), machine);
}
std::int64_t linear_gelu_input_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                      const Machine& machine) {
  return workspace_of(linear_input_gradient_spec(program, op), machine);
}

CpuRun bind_linear_gelu_cpu(const CpuBinding& binding) {
  return dispatch(binding.out_type(0).dtype, [&]<class T>() -> CpuRun {
    T *u = binding.out<T>(0), *g = binding.out<T>(1);
    return multiply_and_finish(binding, linear_spec(*binding.program, *binding.operation), u,
                               [=](const Accumulator<T>* sums, std::int64_t at, std::int64_t count) {
                                 linear_gelu_range(Team{}, sums + at, u + at, g + at, count);
                               });
  });
}

CpuRun bind_linear_gelu_input_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.out_type(0).dtype, [&]<class T>() -> CpuRun {
    const T* u = binding.in<const T>(2);
    T* du = binding.out<T>(0);
    return multiply_and_finish(binding, linear_input_gradient_spec(*binding.program, *binding.operation), du,
                               [=](const Accumulator<T>* sums, std::int64_t at, std::int64_t count) {
                                 linear_gelu_gradient_range(Team{}, sums + at, u + at, du + at, count);
                               });
  });
}

}  // namespace stepscope
