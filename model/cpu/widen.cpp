#include "model/cpu/widen.h"

#include "model/base/half.h"

namespace stepscope {

void widen_rows(DType from, const void* narrow, std::int64_t narrow_stride, float* wide, std::int64_t wide_stride,
                std::int64_t rows, std::int64_t columns) {
  dispatch(from, [&]<class T>() {
    for (std::int64_t row = 0; row < rows; ++row) {
      const T* const in = static_cast<const T*>(narrow) + row * narrow_stride;
      float* const out = wide + row * wide_stride;
      for (std::int64_t j = 0; j < columns; ++j) out[j] = static_cast<float>(load(in[j]));
    }
  });
}

void narrow_rows(DType to, const float* wide, std::int64_t wide_stride, void* narrow, std::int64_t narrow_stride,
                 std::int64_t rows, std::int64_t columns, bool add) {
  dispatch(to, [&]<class T>() {
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* const in = wide + row * wide_stride;
      T* const out = static_cast<T*>(narrow) + row * narrow_stride;
      if (add)
        for (std::int64_t j = 0; j < columns; ++j) out[j] = store<T>(load(out[j]) + static_cast<Accumulator<T>>(in[j]));
      else
        for (std::int64_t j = 0; j < columns; ++j) out[j] = store<T>(in[j]);
    }
  });
}

}  // namespace stepscope
