// attention_kernel: who computes fused attention on a card: our own kernels, or NVIDIA's cuDNN. Off: own, on every machine. On a CPU, in
// fp32 and with custom masks cuDNN is Unsupported.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique attention_kernel_technique;

}  // namespace stepscope
