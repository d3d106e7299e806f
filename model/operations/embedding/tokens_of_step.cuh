// The tokens of the present micro-step, which only the card knows.
//     const std::int32_t* tokens = all.now(*control);        // in a kernel
#pragma once

#include <cstdint>

#include "model/cuda/device.cuh"
#include "model/program/control_block.h"

namespace stepscope {

struct TokensOfStep {
  const std::int32_t* first;
  std::int64_t micro_stride;
  [[nodiscard]] __device__ __forceinline__ const std::int32_t* now(const ControlBlock& control) const {
    return first + control.micro_step * micro_stride;
  }
};

}  // namespace stepscope
