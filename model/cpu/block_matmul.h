// A matmul small enough for one task of a region, callable from every slot: oneDNN for fp32 and bf16, plain loops for fp64.
//     const BlockMatmul scores({.m = 64, .n = 128, .k = 64, .transpose_b = true, ...}, machine.threads);
//     threads.parallel_for_slots(tasks, [&](std::int64_t task, int slot) { scores.run(slot, q, k, s, scratch_of(slot)); });
#pragma once

#include <cstdint>
#include <vector>

#include "model/cpu/tile_matmul.h"

namespace stepscope {

class BlockMatmul {
 public:
  BlockMatmul(const TileSpec& spec, int slots);
  [[nodiscard]] static std::int64_t scratch_bytes(const TileSpec& spec);  // for one slot, 256-byte aligned
  void run(int slot, const void* a, const void* b, void* c, void* scratch) const;

 private:
  TileSpec spec_;
  std::vector<TileMatmul::Call> calls_;  // by slot; none for fp64
};

}  // namespace stepscope
