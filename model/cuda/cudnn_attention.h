// Fused attention by cuDNN: as a plan for a card that is not here, and executed on one that is.
//     const CudnnPlan plan = plan_cudnn_attention(shape, CudnnPass::backward, h100);   // plan.engines, plan.workspace_bytes
//     CudnnLibrary library;                                                            // of an executor; its handle is made when first asked
//     const CudnnRun run = library.bind(shape, CudnnPass::forward, 90, {.q = q, ...});  // plans a shape once, when a program is bound
//     run(stream);                                                                     // issues; allocates and plans nothing, may be captured
// What cuDNN does that our kernels do not: keys past a row's length are no operands, and dk, dv past it are not written; a row without
// any key is no number (before 9.25), so lengths are 1 at least. Scores that are hidden weigh exactly 0.
// Source: NVIDIA's cudnn-frontend, "SDPA" and "SDPA backward".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "model/base/dtype.h"

struct CUstream_st;  // cudaStream_t points to one

namespace stepscope {

// Of q, k and v as model/operations/attention packs them in one value: of each kv head its queries' heads, then k, then v. cuDNN knows one
// stride from head to head, so where a kv head has several queries each kv head is a call of its own, `calls` of them; and since it takes
// statistics of a call only whole, lse then lies as [kv_heads, B, queries, S]; else as [B, kv_heads, S].
struct CudnnAttentionShape {
  std::int64_t batch = 0, sequence = 0, kv_heads = 0, queries = 1, head_dim = 0;  // queries: heads of each kv head
  DType dtype = DType::bf16;  // or fp16
  bool causal = true;
  bool lengths = false;  // of the queries' rows and of the keys', int32 [B] each
  double scale = 1;
  bool deterministic = true;  // of the backward pass: the same bits in every run, for more workspace

  [[nodiscard]] std::int64_t calls() const { return queries > 1 ? kv_heads : 1; }
  auto operator<=>(const CudnnAttentionShape&) const = default;
};

enum class CudnnPass { forward, backward };

struct CudnnPlan {
  std::int64_t engines = 0;  // configurations that the library's heuristic offers, best first
  std::int64_t workspace_bytes = 0;  // of one call, with the first of them
  bool built = false;  // whole
  std::string why_not_built;  // where there is no driver: that its kernel cannot be loaded
};

[[nodiscard]] std::string why_no_cudnn();  // "": headers were there when this was built, and the library is here

// Throws Unsupported where cuDNN is missing or takes no such graph, with the library's words. device_properties: cuDNN's own JSON of a
// card. whole: its kernel is compiled too, as far as that goes without a driver; some tenths of a second.
[[nodiscard]] CudnnPlan plan_cudnn_attention(const CudnnAttentionShape& shape, CudnnPass pass,
                                             const std::string& device_properties, bool whole = false);

struct CudnnOperands {  // of one call, on the card, 16-byte aligned; those that a pass has not stay null
  const void *q = nullptr, *k = nullptr, *v = nullptr;
  void *o = nullptr, *lse = nullptr;  // results of the forward pass, operands of the other
  const void* dout = nullptr;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;
  void *query_lengths = nullptr, *key_lengths = nullptr;  // where the shape has them
  void* workspace = nullptr;
  std::int64_t workspace_bytes = 0;  // engines that want more are not taken
};

using CudnnRun = std::function<void(CUstream_st*)>;

// A handle and the plans of each shape. Outlives what it has bound and the CUDA graphs that captured it.
class CudnnLibrary {
 public:
  CudnnLibrary();
  ~CudnnLibrary();
  CudnnLibrary(const CudnnLibrary&) = delete;
  CudnnLibrary& operator=(const CudnnLibrary&) = delete;

  // compute_capability: of the current card, 90 for 9.0. Throws Unsupported as plan_cudnn_attention does; MachineError for what fails later.
  [[nodiscard]] CudnnRun bind(const CudnnAttentionShape& shape, CudnnPass pass, int compute_capability,
                              const CudnnOperands& operands);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace stepscope
