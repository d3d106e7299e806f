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

// Moves count elements of the piece and 2 n. A pack lies inside the piece or outside: begin, first and count are whole packs, or no pack is.
template <class T>
__global__ void __launch_bounds__(element_threads)
    add_rows_kernel(const T* piece, const T* so_far, T* y, std::int64_t first, std::int64_t count, std::int64_t begin,
                    std::int64_t packs, std::int64_t n) {
  by_packs(
      packs, Pack<T>::size, n,
      [=](std::int64_t p) {
        const std::int64_t i = begin + p * Pack<T>::size;
        const bool inside = i >= first && i < first + count;
        Pack<T> in{}, held{}, out;
        if (inside) in = load_pack(piece + (i - first), 0);
        if (so_far != nullptr) held = load_pack(so_far + i, 0);
        add_rows_range(ThreadTeam{}, in.at, held.at, out.at, 0, inside ? Pack<T>::size : 0, 0, Pack<T>::size);
        store_pack(y + i, 0, out);
      },
      [=](std::int64_t i) { add_rows_range(ThreadTeam{}, piece, so_far, y, first, count, begin + i, begin + i + 1); });
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
    const bool in_packs = first % Pack<T>::size == 0 && count % Pack<T>::size == 0;
    const ElementLaunch shape = element_launch(n, in_packs ? Pack<T>::size : 1, {piece, so_far, y});
    const std::int64_t packs = in_packs ? shape.packs : 0;
    const unsigned grid = in_packs ? shape.grid : element_launch(n, 1, {}).grid;
    return [=](const CudaIssue& issue) {
      launch(add_rows_kernel<T>, grid, element_threads, 0, issue.stream, piece, so_far, y, first, count, begin, packs,
             n);
    };
  });
}

}  // namespace stepscope
