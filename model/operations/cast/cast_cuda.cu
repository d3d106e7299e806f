#include "model/operations/cast/cast_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/cast/cast_body.h"

namespace stepscope {

// Moves 4 n bytes and n of the copy's elements.
template <class To>
__global__ void __launch_bounds__(element_threads)
    cast_kernel(const float* x, To* y, std::int64_t packs, std::int64_t n) {
  constexpr int size = Pack<To>::size;
  by_packs(
      packs, size, n,
      [=](std::int64_t p) {
        const Pack<float, size> in = load_pack<float, size>(x, p);
        Pack<To> out;
        cast_range(ThreadTeam{}, in.at, out.at, size);
        store_pack(y, p, out);
      },
      [=](std::int64_t i) { cast_range(ThreadTeam{}, x + i, y + i, 1); });
}

CudaRun bind_cast_cuda(const CudaBinding& binding) {
  if (binding.in_dtype(0) != DType::fp32) throw Unsupported("CUDA: cast reads fp32 alone");
  return dispatch_cuda(binding.write_type(0).dtype, [&]<class To>() -> CudaRun {
    const float* x = binding.in<const float>(0);
    To* y = binding.write<To>(0);
    const std::int64_t n = binding.in_view(0).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<To>::size, {x, y});
    return [=](const CudaIssue& issue) {
      launch(cast_kernel<To>, shape.grid, element_threads, 0, issue.stream, x, y, shape.packs, n);
    };
  });
}

}  // namespace stepscope
