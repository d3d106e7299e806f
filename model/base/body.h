// What marks a function as part of a body: maths written once, for the processor and, under nvcc, for the card as well.
//     STEPSCOPE_BODY float twice(float x) { return x + x; }
// STEPSCOPE_INLINE is for small leaves inside inner loops (conversions, exp): a loop over them vectorises only if they are inlined.
#pragma once

#ifdef __CUDACC__
#define STEPSCOPE_BODY __host__ __device__
#define STEPSCOPE_INLINE __host__ __device__ __forceinline__
#else
#define STEPSCOPE_BODY
#define STEPSCOPE_INLINE inline __attribute__((always_inline))
#endif

namespace stepscope {

// std::bit_cast is host code to nvcc; the builtin below it is not.
template <class To, class From>
STEPSCOPE_INLINE constexpr To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, from);
}

}  // namespace stepscope
