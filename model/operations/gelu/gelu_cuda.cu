#include "model/operations/gelu/gelu_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/gelu/gelu_body.h"

namespace stepscope {

// Moves 2 n elements.
template <class T>
__global__ void __launch_bounds__(element_threads) gelu_kernel(const T* u, T* g, std::int64_t packs, std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const Pack<T> in = load_pack(u, p);
        Pack<T> out;
        gelu_range(ThreadTeam{}, in.at, out.at, Pack<T>::size);
        store_pack(g, p, out);
      },
      [=](std::int64_t i) { gelu_range(ThreadTeam{}, u + i, g + i, 1); });
}

// Moves 3 n elements.
template <class T>
__global__ void __launch_bounds__(element_threads)
    gelu_gradient_kernel(const T* dg, const T* u, T* du, std::int64_t packs, std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const Pack<T> outer = load_pack(dg, p), in = load_pack(u, p);
        Pack<T> out;
        gelu_gradient_range(ThreadTeam{}, outer.at, in.at, out.at, Pack<T>::size);
        store_pack(du, p, out);
      },
      [=](std::int64_t i) { gelu_gradient_range(ThreadTeam{}, dg + i, u + i, du + i, 1); });
}

CudaRun gelu_run(DType dtype, const std::byte* in, std::byte* out, std::int64_t n) {
  return dispatch_cuda(dtype, [&]<class T>() -> CudaRun {
    const T* u = reinterpret_cast<const T*>(in);
    T* g = reinterpret_cast<T*>(out);
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {u, g});
    return [=](const CudaIssue& issue) {
      launch(gelu_kernel<T>, shape.grid, element_threads, 0, issue.stream, u, g, shape.packs, n);
    };
  });
}

CudaRun gelu_gradient_run(DType dtype, const std::byte* outer, const std::byte* in, std::byte* out, std::int64_t n) {
  return dispatch_cuda(dtype, [&]<class T>() -> CudaRun {
    const T *dg = reinterpret_cast<const T*>(outer), *u = reinterpret_cast<const T*>(in);
    T* du = reinterpret_cast<T*>(out);
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {dg, u, du});
    return [=](const CudaIssue& issue) {
      launch(gelu_gradient_kernel<T>, shape.grid, element_threads, 0, issue.stream, dg, u, du, shape.packs, n);
    };
  });
}

CudaRun bind_gelu_cuda(const CudaBinding& binding) {
  return gelu_run(binding.in_dtype(0), binding.ins[0], binding.outs[0], binding.in_view(0).shape.elements());
}

CudaRun bind_gelu_gradient_cuda(const CudaBinding& binding) {
  return gelu_gradient_run(binding.in_dtype(1), binding.ins[0], binding.ins[1], binding.outs[0],
                           binding.in_view(1).shape.elements());
}

}  // namespace stepscope
