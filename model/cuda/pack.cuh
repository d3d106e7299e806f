// 16 bytes at a time: what a thread loads and stores in one instruction.
//     const ElementLaunch shape = element_launch(n, Pack<T>::size, {x, y});
//     launch(kernel<T>, shape.grid, element_threads, 0, stream, x, y, shape.packs, n);
//     // in the kernel, where pack_index() < packs:  auto in = load_pack(x, pack_index());  body(ThreadTeam{}, in.at, out.at, in.size);
// A row in registers, where row_in_registers: thread t of the block has row pack t (team.cuh, PackTeam).
// Elements past the packs, or all of them where an address is not a multiple of 16, go one by one.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "model/cuda/device.cuh"
#include "model/cuda/team.cuh"

namespace stepscope {

template <class T, int N = 16 / sizeof(T)>
struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack {
  static constexpr int size = N;
  T at[N];
};

inline constexpr unsigned element_threads = 256;

// Thread i of the grid takes pack i; after the packs come single elements.
struct ElementLaunch {
  unsigned grid = 1;
  std::int64_t packs = 0;
};

[[nodiscard]] inline bool are_aligned(std::initializer_list<const void*> addresses) {
  bool aligned = true;
  for (const void* address : addresses) aligned &= reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
  return aligned;
}

// pack: elements of a pack, the same for all operands; addresses: of all operands.
[[nodiscard]] inline ElementLaunch element_launch(std::int64_t elements, int pack,
                                                  std::initializer_list<const void*> addresses) {
  ElementLaunch shape;
  shape.packs = are_aligned(addresses) ? elements / pack : 0;
  const std::int64_t threads = shape.packs + (elements - shape.packs * pack);
  shape.grid = static_cast<unsigned>((threads + element_threads - 1) / element_threads);
  return shape;
}

[[nodiscard]] __device__ __forceinline__ std::int64_t grid_thread() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

// one(i) for the single element i, many(p) for pack p.
template <class Many, class One>
__device__ __forceinline__ void by_packs(std::int64_t packs, int pack, std::int64_t elements, Many many, One one) {
  const std::int64_t thread = grid_thread();
  if (thread < packs) return many(thread);
  const std::int64_t element = packs * pack + (thread - packs);
  if (element < elements) one(element);
}

template <class T, int N = 16 / sizeof(T)>
[[nodiscard]] __device__ __forceinline__ Pack<T, N> load_pack(const T* x, std::int64_t index) {
  return reinterpret_cast<const Pack<T, N>*>(x)[index];
}
template <class T, int N>
__device__ __forceinline__ void store_pack(T* x, std::int64_t index, const Pack<T, N>& pack) {
  reinterpret_cast<Pack<T, N>*>(x)[index] = pack;
}

// Whether rows of so many elements consist of row packs; the addresses are those of the first rows.
[[nodiscard]] inline bool rows_in_packs(std::int64_t elements, std::initializer_list<const void*> addresses) {
  return elements % row_pack == 0 && are_aligned(addresses);
}
// And whether a block has each of them in registers, threads_for_row of it.
[[nodiscard]] inline bool row_in_registers(std::int64_t elements, std::initializer_list<const void*> addresses) {
  return rows_in_packs(elements, addresses) && elements <= row_pack * most_row_threads;
}

template <class T>
using RowPack = Pack<T, row_pack>;

template <class T>
[[nodiscard]] __device__ __forceinline__ RowPack<T> load_row_pack(const T* row, std::int64_t index) {
  return load_pack<T, row_pack>(row, index);
}

}  // namespace stepscope
