// Fused attention by cuDNN as a plan: its operation graph, whether an engine of the library takes it on a given card, and the workspace that
// it wants. Needs no card: the card is described by cuDNN's own JSON of device properties.
//     const CudnnPlan plan = plan_cudnn_attention(shape, CudnnPass::backward, h100);     // plan.engines, plan.workspace_bytes
// Nothing here executes a plan; the attention that runs is model/operations/attention.
// Source: NVIDIA's cudnn-frontend, "SDPA" and "SDPA backward".
#pragma once

#include <cstdint>
#include <string>

#include "model/base/dtype.h"

namespace stepscope {

// Of q, k and v as model/operations/attention packs them in one value: of each kv head its queries' heads, then k, then v. cuDNN knows one
// stride from head to head, so where a kv head has several queries each kv head is a call of its own, `calls` of them; and since it takes
// statistics of a call only whole, lse then lies as [kv_heads, B, queries, S].
struct CudnnAttentionShape {
  std::int64_t batch = 0, sequence = 0, kv_heads = 0, queries = 1, head_dim = 0;  // queries: heads of each kv head
  DType dtype = DType::bf16;  // or fp16
  bool causal = true;
  bool padding = false;  // rows of different lengths
  double scale = 1;
  bool deterministic = false;  // of the backward pass: the same bits in every run, for more workspace

  [[nodiscard]] std::int64_t calls() const { return queries > 1 ? kv_heads : 1; }
};

enum class CudnnPass { forward, backward };

struct CudnnPlan {
  std::int64_t engines = 0;  // configurations that the library's heuristic offers, best first
  std::int64_t workspace_bytes = 0;  // of one call, with the first of them
  bool built = false;  // whole
  std::string why_not_built;  // where there is no driver: that its kernel cannot be loaded
};

[[nodiscard]] std::string why_no_cudnn();  // "": headers were there when this was built, and the library is here

// Throws Unsupported where cuDNN is missing or takes no such graph, with the library's words.
// whole: its kernel is compiled too, as far as that goes without a driver; some tenths of a second.
[[nodiscard]] CudnnPlan plan_cudnn_attention(const CudnnAttentionShape& shape, CudnnPass pass,
                                             const std::string& device_properties, bool whole = false);

}  // namespace stepscope
