// Attention by a library of the card's maker in place of our own kernels: NVIDIA's cuDNN. The operation is the same (attention.h); its
// algorithm says who computes it, so that a repeat is computed by the same. What differs, and why:
//     delta   is none of the gradient's results: the library keeps it in its workspace
//     lse     where a kv head has several queries, each kv head is a call of its own, and lse lies as [kv_heads, B, queries, S]
//     dk, dv  of a kv head with several queries: each query's part is rounded to the operands' type before they are added
//     if (by_library(op)) op.workspace_bytes = library_attention_workspace_bytes(op);
#pragma once

#include <string>

#include "model/program/program.h"

namespace stepscope {

inline constexpr const char* library_algorithm = "cudnn";

[[nodiscard]] bool by_library(const Operation& op);  // attention or its gradient
[[nodiscard]] std::string why_not_by_library(const Program& program, const Operation& attention);  // "": it may be

// Rows of padding, or of a sequence that is no multiple of a tile, which some versions of the library get wrong untold: in such a
// tile keys past the last are scored 0 (github.com/NVIDIA/cudnn-frontend/issues/160, github.com/pytorch/pytorch/issues/196678).
[[nodiscard]] bool tells_lengths(const Operation& op);
// From the begin of the workspace: int32 [B] for queries, in its second half for keys; 0 where none are told.
[[nodiscard]] std::int64_t lengths_bytes(const Operation& op);

// The whole workspace: a cap, the same on every machine, so that a plan made for a card that is not here is exact. Engines that want more
// are not taken. Of the gradient it is O(S^2): what adding dq in a fixed order costs.
[[nodiscard]] std::int64_t library_attention_workspace_bytes(const Operation& op);

}  // namespace stepscope
