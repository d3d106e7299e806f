#include "model/operations/linear_gelu/linear_gelu_cuda.cuh"

#include <memory>
#include <optional>

#include "model/operations/gelu/gelu_cuda.cuh"
#include "model/operations/linear/linear_matmuls.h"

namespace stepscope {

namespace {

constexpr std::int64_t aux_columns = 8;  // the matrix beside the result has rows of a multiple of so many

// One call where the library has it; else the plain matmul, then what follows it.
CudaRun fused_or_apart(const CudaBinding& binding, const MatmulSpec& spec, const CudaMatmulAddresses& fused,
                       MatmulEpilogue epilogue, const CudaMatmulAddresses& apart, const CudaRun& after) {
  const bool tf32 = binding.program->tf32;
  std::optional<CudaMatmul> one;
  if (spec.n % aux_columns == 0) one = CudaMatmul::if_possible(*binding.matmuls, spec, tf32, fused, {}, epilogue);
  if (one) {
    const auto matmul = std::make_shared<const CudaMatmul>(std::move(*one));
    return [=](const CudaIssue& issue) { matmul->issue(issue.stream, false); };
  }
  const auto matmul = std::make_shared<const CudaMatmul>(*binding.matmuls, spec, tf32, apart);
  return [=](const CudaIssue& issue) {
    matmul->issue(issue.stream, false);
    after(issue);
  };
}

}  // namespace

CudaRun bind_linear_gelu_cuda(const CudaBinding& binding) {
  const TensorType& type = binding.out_type(0);
  CudaMatmulAddresses apart{.a = binding.ins[0],
                            .b = binding.ins[1],
                            .c = binding.outs[0],
                            .bias = binding.ins[2],
                            .workspace = binding.workspace};
  CudaMatmulAddresses fused = apart;
  fused.c = binding.outs[1];
  fused.aux = binding.outs[0];
  return fused_or_apart(binding, linear_spec(*binding.program, *binding.operation), fused, MatmulEpilogue::gelu_bias,
                        apart, gelu_run(type.dtype, binding.outs[0], binding.outs[1], type.shape.elements()));
}

CudaRun bind_linear_gelu_input_gradient_cuda(const CudaBinding& binding) {
  const TensorType& type = binding.out_type(0);
  CudaMatmulAddresses at{
      .a = binding.ins[0], .b = binding.ins[1], .c = binding.outs[0], .workspace = binding.workspace};
  CudaMatmulAddresses fused = at;
  fused.aux = binding.ins[2];
  return fused_or_apart(
      binding, linear_input_gradient_spec(*binding.program, *binding.operation), fused, MatmulEpilogue::gelu_slope, at,
      gelu_gradient_run(type.dtype, binding.outs[0], binding.ins[2], binding.outs[0], type.shape.elements()));
}

}  // namespace stepscope
