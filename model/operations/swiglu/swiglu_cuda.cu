#include "model/operations/swiglu/swiglu_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/swiglu/swiglu_body.h"

namespace stepscope {

// Moves 3 n elements.
template <class T>
__global__ void __launch_bounds__(element_threads)
    swiglu_kernel(const T* gate, const T* up, T* g, std::int64_t packs, std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const Pack<T> z = load_pack(gate, p), u = load_pack(up, p);
        Pack<T> out;
        swiglu_range(ThreadTeam{}, z.at, u.at, out.at, Pack<T>::size);
        store_pack(g, p, out);
      },
      [=](std::int64_t i) { swiglu_range(ThreadTeam{}, gate + i, up + i, g + i, 1); });
}

// Moves 5 n elements.
template <class T>
__global__ void __launch_bounds__(element_threads)
    swiglu_gradient_kernel(const T* dg, const T* gate, const T* up, T* dgate, T* dup, std::int64_t packs,
                           std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const Pack<T> outer = load_pack(dg, p), z = load_pack(gate, p), u = load_pack(up, p);
        Pack<T> to_gate, to_up;
        swiglu_gradient_range(ThreadTeam{}, outer.at, z.at, u.at, to_gate.at, to_up.at, Pack<T>::size);
        store_pack(dgate, p, to_gate);
        store_pack(dup, p, to_up);
      },
      [=](std::int64_t i) { swiglu_gradient_range(ThreadTeam{}, dg + i, gate + i, up + i, dgate + i, dup + i, 1); });
}

CudaRun bind_swiglu_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const T *gate = binding.in<const T>(0), *up = binding.in<const T>(1);
    T* g = binding.out<T>(0);
    const std::int64_t n = binding.in_view(0).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {gate, up, g});
    return [=](const CudaIssue& issue) {
      launch(swiglu_kernel<T>, shape.grid, element_threads, 0, issue.stream, gate, up, g, shape.packs, n);
    };
  });
}

CudaRun bind_swiglu_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(1), [&]<class T>() -> CudaRun {
    const T *dg = binding.in<const T>(0), *gate = binding.in<const T>(1), *up = binding.in<const T>(2);
    T *dgate = binding.out<T>(0), *dup = binding.out<T>(1);
    const std::int64_t n = binding.in_view(1).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {dg, gate, up, dgate, dup});
    return [=](const CudaIssue& issue) {
      launch(swiglu_gradient_kernel<T>, shape.grid, element_threads, 0, issue.stream, dg, gate, up, dgate, dup,
             shape.packs, n);
    };
  });
}

}  // namespace stepscope
