// Who carries out a body on a card (model/cpu/team.h says what a team is): a thread by itself, a warp, or a block.
//     const BlockTeam team;                                              // in a kernel of one row a block
//     gelu_range(ThreadTeam{}, in.at, out.at, Pack<T>::size);            // a thread on registers
//     rms_norm_row(PackTeam<WholeBlock>{...}, in.at, ...);               // a block whose threads each have a pack of the row in registers
// Element i belongs to member i mod size in every loop, so that a member may read again what it wrote. Sums: each member its elements in
// order, then a butterfly over lanes, then over warps: an order fixed by n and the team's size. Local rows are read again from the
// first cache: registers would need a size known to the compiler.
#pragma once

#include <cstdint>
#include <type_traits>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/cuda/device.cuh"

namespace stepscope {

inline constexpr unsigned whole_warp = ~0u;
inline constexpr int warp_lanes = 32;

// What the teams have in common: packs for one thread, rows in the first cache.
struct CudaTeamParts {
  static constexpr int random_pack = 4;  // features that one call of Philox serves

  // count: a constant, or fewer than random_pack.
  template <class Count, class F>
  __device__ __forceinline__ void for_each_of_pack(Count count, F f) const {
    if constexpr (std::is_same_v<Count, int>) {
      STEPSCOPE_UNROLL
      for (int j = 0; j < random_pack; ++j)
        if (j < count) f(j);
    } else {
      STEPSCOPE_UNROLL
      for (int j = 0; j < Count::value; ++j) f(j);
    }
  }

  template <class T>
  struct Local {
    const T* x;
    __device__ __forceinline__ Accumulator<T> operator[](std::int64_t i) const { return load(x[i]); }
  };
  template <class T>
  __device__ __forceinline__ Local<T> local(const T* x, std::int64_t /*n*/) const {
    return {x};
  }

 protected:
  template <int N, class F>
  __device__ __forceinline__ static void packs(std::int64_t n, std::int64_t first, std::int64_t size, F f) {
    const std::int64_t whole = n / N;
    for (std::int64_t p = first; p < whole; p += size) f(p * N, std::integral_constant<int, N>{});
    if (whole * N < n && whole % size == first) f(whole * N, static_cast<int>(n - whole * N));
  }
};

struct ThreadTeam : CudaTeamParts {
  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t n, F f) const {
    STEPSCOPE_UNROLL
    for (std::int64_t i = 0; i < n; ++i) f(i);
  }
  template <int N, class F>
  __device__ __forceinline__ void for_each_pack(std::int64_t n, F f) const {
    packs<N>(n, 0, 1, f);
  }
  template <class T, class Element, class Combine>
  __device__ __forceinline__ T reduce(std::int64_t n, T identity, Element element, Combine combine) const {
    T all = identity;
    STEPSCOPE_UNROLL
    for (std::int64_t i = 0; i < n; ++i) all = combine(all, element(i));
    return all;
  }
  template <class T, class Element>
  __device__ __forceinline__ T sum(std::int64_t n, Element element) const {
    return reduce(n, T(0), element, [](T a, T b) { return a + b; });
  }
};

// lanes: a power of two; each such group of a warp's lanes for itself.
template <class T, class Combine>
__device__ __forceinline__ T combine_lanes(T mine, Combine combine, int lanes = warp_lanes) {
  STEPSCOPE_UNROLL
  for (int distance = lanes / 2; distance > 0; distance /= 2)
    mine = combine(mine, __shfl_xor_sync(whole_warp, mine, distance));
  return mine;
}

struct WarpTeam : CudaTeamParts {
  [[nodiscard]] __device__ __forceinline__ static std::int64_t member() { return threadIdx.x % warp_lanes; }

  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t n, F f) const {
    for (std::int64_t i = member(); i < n; i += warp_lanes) f(i);
  }
  template <int N, class F>
  __device__ __forceinline__ void for_each_pack(std::int64_t n, F f) const {
    packs<N>(n, member(), warp_lanes, f);
  }
  template <class T, class Element, class Combine>
  __device__ __forceinline__ T reduce(std::int64_t n, T identity, Element element, Combine combine) const {
    T mine = identity;
    for_each(n, [&](std::int64_t i) { mine = combine(mine, element(i)); });
    return combine_lanes(mine, combine);
  }
  template <class T, class Element>
  __device__ __forceinline__ T sum(std::int64_t n, Element element) const {
    return reduce(n, T(0), element, [](T a, T b) { return a + b; });
  }
};

template <class T>
struct WarpPartials {
  T of_warp[warp_lanes];
};

// Of a block of one dimension, a multiple of 32 threads. Also a barrier: what any member read before it, any may overwrite after it.
template <class T, class Combine>
__device__ __forceinline__ T combine_block(T mine, T identity, Combine combine) {
  mine = combine_lanes(mine, combine);
  auto& partials = block_shared<WarpPartials<T>>().of_warp;
  const unsigned lane = threadIdx.x % warp_lanes, warps = blockDim.x / warp_lanes;
  __syncthreads();  // the last reduction's partials are read
  if (lane == 0) partials[threadIdx.x / warp_lanes] = mine;
  __syncthreads();
  return combine_lanes(lane < warps ? partials[lane] : identity, combine);
}

struct BlockTeam : CudaTeamParts {  // of a block of one dimension, a multiple of 32 threads
  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t n, F f) const {
    for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) f(i);
  }
  template <int N, class F>
  __device__ __forceinline__ void for_each_pack(std::int64_t n, F f) const {
    packs<N>(n, threadIdx.x, blockDim.x, f);
  }
  template <class T, class Element, class Combine>
  __device__ __forceinline__ T reduce(std::int64_t n, T identity, Element element, Combine combine) const {
    T mine = identity;
    for_each(n, [&](std::int64_t i) { mine = combine(mine, element(i)); });
    return combine_block(mine, identity, combine);
  }
  template <class T, class Element>
  __device__ __forceinline__ T sum(std::int64_t n, Element element) const {
    return reduce(n, T(0), element, [](T a, T b) { return a + b; });
  }
};

inline constexpr int row_pack =
    8;  // elements of a row that a thread has in registers: 16 bytes of a narrow type, twice 16 of fp32

struct WholeBlock {
  template <class T, class Combine>
  __device__ __forceinline__ T combine(T mine, T identity, Combine with) const {
    return combine_block(mine, identity, with);
  }
};
struct LanesOfWarp {  // several rows a warp
  int lanes;
  template <class T, class Combine>
  __device__ __forceinline__ T combine(T mine, T /*identity*/, Combine with) const {
    return combine_lanes(mine, with, lanes);
  }
};

// Each member has a pack of the row in registers, or none: a body is given those for its row, and indexes of the pack.
template <class Members>
struct PackTeam : CudaTeamParts {
  bool any;  // whether this member has a pack
  Members members;
  __device__ __forceinline__ PackTeam(bool has, Members all) : any(has), members(all) {}

  template <class F>
  __device__ __forceinline__ void for_each(std::int64_t /*n*/, F f) const {
    if (!any) return;
    STEPSCOPE_UNROLL
    for (int i = 0; i < row_pack; ++i) f(i);
  }
  template <class T, class Element, class Combine>
  __device__ __forceinline__ T reduce(std::int64_t n, T identity, Element element, Combine combine) const {
    T mine = identity;
    for_each(n, [&](std::int64_t i) { mine = combine(mine, element(i)); });
    return members.combine(mine, identity, combine);
  }
  template <class T, class Element>
  __device__ __forceinline__ T sum(std::int64_t n, Element element) const {
    return reduce(n, T(0), element, [](T a, T b) { return a + b; });
  }
};

inline constexpr unsigned most_row_threads = 512;

// Threads of a block that takes on a row: a warp for each 256 elements, from the row's length alone.
[[nodiscard]] inline unsigned threads_for_row(std::int64_t elements) {
  unsigned threads = warp_lanes;
  while (threads < most_row_threads && std::int64_t{threads} * 8 < elements) threads *= 2;
  return threads;
}

}  // namespace stepscope
