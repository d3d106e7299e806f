// CUDA's device language for a plain C++ compiler: every thread of a kernel is a fiber (scheduler.cuh), so the .cu files of this project run
// on a CPU, in tests only. model/cuda/device.cuh includes this file where nvcc does not compile it.
//     launch(kernel, grid, block, shared_bytes, stream, args...);   // as on a card; runs when the stream does
// Stricter than a card: a barrier or warp operation must be reached by all its threads at one source line, a mask names only lanes that
// are there. What is not written here (TMA, wgmma, clusters, __syncthreads_or, spinning on another thread) does not compile.
#pragma once

#include <cuda_runtime.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

#include "model/base/half.h"
#include "tests/support/host_simt/scheduler.cuh"

#undef __shared__
#define __shared__ static_assert(false, "shared memory is asked for: block_shared<T>() or dynamic_shared<T>()");
#undef __launch_bounds__
#define __launch_bounds__(...)

inline uint3 threadIdx, blockIdx;  // set by the scheduler whenever it goes on to another thread
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace stepscope::host_simt {

// Behind a stream (runtime.cpp). Throws what a launch on a card would fail with.
void submit_kernel(cudaStream_t stream, const void* kernel, dim3 grid, dim3 block, std::size_t shared_bytes,
                   std::function<void()> thread);
// A kernel's argument holds no address of host memory, and no freed or foreign one of the device.
void check_argument(const void* argument, std::size_t bytes, int position);

template <class T>
inline constexpr char key_of{};  // its address names the block's memory of type T

template <class T>
T exchanged(unsigned mask, T value, int source, Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(mask, bits, source, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace stepscope::host_simt

namespace stepscope {

template <class T>
T& block_shared() {
  return *static_cast<T*>(host_simt::shared_memory(&host_simt::key_of<T>, sizeof(T), alignof(T)));
}
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(host_simt::dynamic_shared_memory());
}

inline double sine_of_half_turns(double x) { return std::sin(3.14159265358979323846 * std::fmod(x, 2)); }
inline double cosine_of_half_turns(double x) { return std::cos(3.14159265358979323846 * std::fmod(x, 2)); }

inline float power_of_2(float x) {
  const float power = std::exp2(x);
  return power < 0x1p-126f ? 0.0f : power;
}

template <class... Parameters>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes, cudaStream_t stream,
            std::type_identity_t<Parameters>... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "arguments of a kernel are copied as bytes");
  (__builtin_clear_padding(&arguments), ...);  // what lies between members is anybody's, and may look like an address
  int position = 0;
  (host_simt::check_argument(&arguments, sizeof(arguments), position++), ...);
  host_simt::submit_kernel(stream, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes,
                           [=] { kernel(arguments...); });
}

}  // namespace stepscope

// The functions of CUDA that kernels call. The default arguments tell where from.
#define STEPSCOPE_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(STEPSCOPE_SITE) { stepscope::host_simt::sync_block({file, line}); }
inline void __syncwarp(unsigned mask = ~0u, STEPSCOPE_SITE) { stepscope::host_simt::sync_warp(mask, {file, line}); }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, STEPSCOPE_SITE) {
  const int group = stepscope::host_simt::lane() & -width;
  return stepscope::host_simt::exchanged(mask, value, group + (source & (width - 1)), {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, STEPSCOPE_SITE) {
  const int me = stepscope::host_simt::lane(), source = me ^ bits, past = (me & -width) + width;
  return stepscope::host_simt::exchanged(mask, value, source < past ? source : me, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32, STEPSCOPE_SITE) {
  const int me = stepscope::host_simt::lane(), source = me + static_cast<int>(distance), past = (me & -width) + width;
  return stepscope::host_simt::exchanged(mask, value, source < past ? source : me, {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32, STEPSCOPE_SITE) {
  const int me = stepscope::host_simt::lane(), source = me - static_cast<int>(distance);
  return stepscope::host_simt::exchanged(mask, value, source >= (me & -width) ? source : me, {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int predicate, STEPSCOPE_SITE) {
  return stepscope::host_simt::ballot(mask, predicate != 0, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, STEPSCOPE_SITE) {
  return stepscope::host_simt::ballot(mask, predicate != 0, {file, line}) != 0;
}
#undef STEPSCOPE_SITE

template <class T>
T atomicAdd(T* at, std::type_identity_t<T> value) {
  return std::atomic_ref(*at).fetch_add(value, std::memory_order_relaxed);
}
inline int atomicMin(int* at, int value) {
  std::atomic_ref target(*at);
  int held = target.load(std::memory_order_relaxed);
  while (value < held && !target.compare_exchange_weak(held, value, std::memory_order_relaxed)) {
  }
  return held;
}
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }

namespace stepscope {

// d += a b by one warp, a [16, 16] and b [16, 8] of T, d fp32. With g = lane / 4 and t = lane % 4, register r of a holds the elements
// (g + 8 (r % 2), 2 t + 8 (r / 2) + {0, 1}), register r of b the elements (2 t + 8 r + {0, 1}, g), and d[i] is (g + 8 (i / 2), 2 t + i % 2).
// Source: PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type".
template <class T>
void mma_16x8x16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  host_simt::Words words{};
  std::memcpy(words.at, a, sizeof(a));
  std::memcpy(words.at + 2, b, sizeof(b));
  host_simt::exchange_words(words, {"mma_16x8x16", 0});
  float left[2][16], right[2][16];  // the lane's rows of a and columns of b
  const auto unpack = [](std::uint64_t word, float* to,
                         int apart) {  // two registers, the second's elements so far behind
    for (int i = 0; i < 4; ++i) to[i / 2 * apart + i % 2] = load(T{static_cast<std::uint16_t>(word >> (16 * i))});
  };
  const int g = host_simt::lane() / 4, t = host_simt::lane() % 4;
  for (int from = 0; from < 4; ++from) {
    const host_simt::Words row = host_simt::words_of(4 * g + from);
    for (int r = 0; r < 4; ++r)
      for (int half = 0; half < 2; ++half)
        left[r % 2][2 * from + 8 * (r / 2) + half] =
            load(T{static_cast<std::uint16_t>(row.at[r / 2] >> (32 * (r % 2) + 16 * half))});
    for (int column = 0; column < 2; ++column)
      unpack(host_simt::words_of(4 * (2 * t + column) + from).at[2], right[column] + 2 * from, 8);
  }
  for (int i = 0; i < 4; ++i)
    for (int k = 0; k < 16; ++k) d[i] += left[i / 2][k] * right[i % 2][k];
}

using SharedAddress = const std::byte*;
inline SharedAddress shared_address(const void* at) { return static_cast<const std::byte*>(at); }

namespace host_simt {

inline void bring_row(SharedAddress row, int line) {
  require_shared(row, "load_matrices");
  exchange_words({{reinterpret_cast<std::uint64_t>(row)}}, {"load_matrices", line});
}
inline const std::uint16_t* row_of(int lane) { return reinterpret_cast<const std::uint16_t*>(words_of(lane).at[0]); }

}  // namespace host_simt

// With g and t as above: (g, 2 t + {0, 1}) of each matrix, transposed (2 t + {0, 1}, g). Source: PTX ISA, ldmatrix.
inline void load_matrices(std::uint32_t (&r)[4], SharedAddress row) {
  host_simt::bring_row(row, 0);
  const int g = host_simt::lane() / 4, t = host_simt::lane() % 4;
  for (int m = 0; m < 4; ++m) {
    const std::uint16_t* const at = host_simt::row_of(8 * m + g) + 2 * t;
    r[m] = at[0] | std::uint32_t{at[1]} << 16;
  }
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], SharedAddress row) {
  host_simt::bring_row(row, 1);
  const int g = host_simt::lane() / 4, t = host_simt::lane() % 4;
  for (int m = 0; m < 4; ++m)
    r[m] = host_simt::row_of(8 * m + 2 * t)[g] | std::uint32_t{host_simt::row_of(8 * m + 2 * t + 1)[g]} << 16;
}

template <class T>
std::uint32_t two_of(float low, float high) {
  return store<T>(low).bits | std::uint32_t{store<T>(high).bits} << 16;
}

// Carried out when waited for, in reverse order at once: a card may do it at any time between.
inline void carry_out(const host_simt::Copy& copy) {
  if (copy.from == nullptr)
    std::memset(copy.to, 0, 16);
  else
    std::memcpy(copy.to, copy.from, 16);
}
inline void copy_16(SharedAddress to, const void* from, bool present) {
  host_simt::require_shared(to, "copy_16");
  const host_simt::Copy copy{const_cast<std::byte*>(to), present ? from : nullptr};
  host_simt::queue_copy(copy, from);
  if (host_simt::options().order == host_simt::Order::reverse) carry_out(copy);
}
inline void wait_for_copies() {
  for (host_simt::Copy copy; host_simt::take_copy(copy);)
    if (host_simt::options().order != host_simt::Order::reverse) carry_out(copy);
}

}  // namespace stepscope
