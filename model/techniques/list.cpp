#include "model/techniques/list.h"

#include "model/techniques/accumulation.h"
#include "model/techniques/attention_kernel.h"
#include "model/techniques/checkpointing.h"
#include "model/techniques/gradient_precision.h"
#include "model/techniques/launch.h"
#include "model/techniques/logits_chunks.h"
#include "model/techniques/offload.h"
#include "model/techniques/precision.h"
#include "model/techniques/residual_precision.h"

namespace stepscope {

std::span<const Technique> techniques() {
  static const Technique rows[] = {precision_technique,     checkpointing_technique,      accumulation_technique,
                                   logits_chunks_technique, residual_precision_technique, gradient_precision_technique,
                                   launch_technique,        attention_kernel_technique,   offload_technique};
  return rows;
}

}  // namespace stepscope
