#include "model/operations/add/add_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/add/add_body.h"

namespace stepscope {

// Moves 3 n elements.
template <class T>
__global__ void __launch_bounds__(element_threads)
    add_kernel(const T* a, const T* b, T* c, std::int64_t packs, std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const Pack<T> left = load_pack(a, p), right = load_pack(b, p);
        Pack<T> out;
        add_range(ThreadTeam{}, left.at, right.at, out.at, Pack<T>::size);
        store_pack(c, p, out);
      },
      [=](std::int64_t i) { add_range(ThreadTeam{}, a + i, b + i, c + i, 1); });
}

template <class T>
__global__ void __launch_bounds__(element_threads)
    add_rows_kernel(const T* piece, const T* so_far, T* y, std::int64_t first, std::int64_t count, std::int64_t begin,
                    std::int64_t n) {
  const std::int64_t i = grid_thread();
  if (i < n) add_rows_range(ThreadTeam{}, piece, so_far, y, first, count, begin + i, begin + i + 1);
}

CudaRun bind_add_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const T *a = binding.in<const T>(0), *b = binding.in<const T>(1);
    T* c = binding.out<T>(0);
    const std::int64_t n = binding.in_view(0).shape.elements();
    const ElementLaunch shape = element_launch(n, Pack<T>::size, {a, b, c});
    return [=](const CudaIssue& issue) {
      launch(add_kernel<T>, shape.grid, element_threads, 0, issue.stream, a, b, c, shape.packs, n);
    };
  });
}

CudaRun bind_add_rows_cuda(const CudaBinding& binding) {
  return dispatch_cuda(binding.in_dtype(0), [&]<class T>() -> CudaRun {
    const T* piece = binding.in<const T>(0);
    const T* so_far = binding.ins.size() > 1 ? binding.in<const T>(1) : nullptr;
    T* y = binding.out<T>(0);
    const std::int64_t count = binding.in_view(0).shape.elements();
    const std::int64_t first = binding.operation->attributes.first_row * binding.out_type(0).shape.last();
    const bool in_place = so_far == y;  // then all other rows stand there already
    const std::int64_t begin = in_place ? first : 0, n = in_place ? count : binding.out_type(0).shape.elements();
    const unsigned grid = element_launch(n, 1, {}).grid;
    return [=](const CudaIssue& issue) {
      launch(add_rows_kernel<T>, grid, element_threads, 0, issue.stream, piece, so_far, y, first, count, begin, n);
    };
  });
}

}  // namespace stepscope
