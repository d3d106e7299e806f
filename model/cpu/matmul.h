// Matmuls over all cores, cut into tiles of whole sums: c [m,n] = a [m,k] b [k,n] (+ bias) or c += a b.
//     const MatmulSpec spec{.m = T, .n = O, .k = I, .a_stride = I, .b_stride = O, .c_stride = O};
//     workspace_bytes = matmul_workspace(spec, machine);            // when a program is lowered
//     const Matmul matmul(spec, machine);                           // when it is bound: compiles kernels
//     matmul.run(threads, {.a = x, .b = weight, .c = y, .workspace = workspace});          // in a step
// k is never cut and tiles depend on the spec alone: the same bits for any number of threads. A row of c depends on no other
// row of a. It does not depend on m where tiles have one height, nor anywhere with oneDNN's AVX-512 kernels and a stored by rows
// (its AVX2 kernels of 2.6.3 give the last rows of a tile other roundings).
// fp32, bf16 and fp16 by oneDNN, sums in fp32; fp64 by plain loops. Where the machine does not multiply bf16 or fp16,
// operands are widened to fp32 in the workspace and results rounded once: the same points of rounding as native.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/cpu/matmul_tiling.h"

namespace stepscope {

class Threads;

struct MatmulAddresses {
  const void* a = nullptr;
  const void* b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;
  std::byte* workspace = nullptr;  // matmul_workspace bytes, 256-byte aligned
  bool add = false;  // c += a b; only where spec.may_add
};

[[nodiscard]] std::int64_t matmul_workspace(const MatmulSpec& spec, const Machine& machine);

class Matmul {
 public:
  Matmul(const MatmulSpec& spec, const Machine& machine);
  void run(Threads& threads, const MatmulAddresses& at) const;  // threads.count() <= machine.threads

 private:
  using Tile = MatmulTiling::Tile;

  [[nodiscard]] const TileMatmul::Call& call(const Tile& tile, int slot, bool add) const;
  void run_plain(const MatmulAddresses& at, const Tile& tile) const;
  void run_direct(const MatmulAddresses& at, const Tile& tile, int slot) const;
  void run_widened(const MatmulAddresses& at, const Tile& tile, int slot) const;
  void round_tile(const MatmulAddresses& at, const Tile& tile, const float* wide) const;
  void widen_shared(Threads& threads, const MatmulAddresses& at) const;
  // Element offsets of a tile's part of each operand, as stored.
  [[nodiscard]] std::int64_t a_offset(const Tile& t) const {
    return spec_.transpose_a ? t.row : t.row * spec_.a_stride;
  }
  [[nodiscard]] std::int64_t b_offset(const Tile& t) const {
    return spec_.transpose_b ? t.column * spec_.b_stride : t.column;
  }
  [[nodiscard]] std::int64_t c_offset(const Tile& t) const { return t.row * spec_.c_stride + t.column; }

  MatmulTiling tiling_;
  MatmulSpec spec_;
  std::vector<TileMatmul::Call> calls_;  // [slot][shape of tile][store or add]
};

}  // namespace stepscope
