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

CudaRun bind_gelu_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const T* u = binding.in<const T>(0);
    T* g = binding.out<T>(0);
    const std::int64_t n = binding.in_view(0).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {u, g});
    return [=](const CudaIssue& issue) {
      launch(gelu_kernel<T>, shape.grid, element_threads, 0, issue.stream, u, g, shape.packs, n);
    };
  });
}

CudaRun bind_gelu_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(1), [&]<class T>() -> CudaRun {
    const T *dg = binding.in<const T>(0), *u = binding.in<const T>(1);
    T* du = binding.out<T>(0);
    const std::int64_t n = binding.in_view(1).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {dg, u, du});
    return [=](const CudaIssue& issue) {
      launch(gelu_gradient_kernel<T>, shape.grid, element_threads, 0, issue.stream, dg, u, du, shape.packs, n);
    };
  });
}

}  // namespace stepscope
