// What the kernels of attention on a card are told: where heads lie, and which keys a query sees.
#pragma once

#include "model/cuda/binding.cuh"
#include "model/operations/attention/attention_layout.h"

namespace stepscope {

struct AttentionRows {
  HeadLayout layout;
  MaskReader mask;
  float scale;
  DType probabilities;
};

[[nodiscard]] inline AttentionRows attention_rows(const CudaBinding& binding, int first, int masks) {
  const HeadLayout layout = head_layout(*binding.operation, first);
  return {layout, MaskReader(binding, layout, masks), static_cast<float>(binding.operation->attributes.scale),
          binding.operation->attributes.probabilities};
}

template <class T>
struct AttentionOperandsOnCard {  // of the gradient
  const T *dout, *q, *k, *v, *o;
  const float* lse;
  T* dqkv;
  float* delta;
};

// A kernel is told how much it will ask for, where that is more than every kernel may.
template <class Kernel>
void allow_shared(Kernel* kernel, std::int64_t bytes) {
  STEPSCOPE_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

}  // namespace stepscope
