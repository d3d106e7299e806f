#include "model/cpu/block_matmul.h"

#include "model/cpu/plain_matmul.h"

namespace stepscope {

BlockMatmul::BlockMatmul(const TileSpec& spec, int slots) : spec_(spec) {
  if (spec.in == DType::fp64) return;
  const auto tile = TileMatmul::get(spec);
  for (int slot = 0; slot < slots; ++slot) calls_.emplace_back(tile);
}

std::int64_t BlockMatmul::scratch_bytes(const TileSpec& spec) {
  return spec.in == DType::fp64 ? 0 : TileMatmul::scratch_bytes_of(spec);
}

void BlockMatmul::run(int slot, const void* a, const void* b, void* c, void* scratch) const {
  if (!calls_.empty()) return calls_[static_cast<std::size_t>(slot)].run(a, b, c, nullptr, scratch);
  const PlainSpec plain{.m = spec_.m,
                        .n = spec_.n,
                        .k = spec_.k,
                        .transpose_a = spec_.transpose_a,
                        .transpose_b = spec_.transpose_b,
                        .a_stride = spec_.a_stride,
                        .b_stride = spec_.b_stride,
                        .c_stride = spec_.c_stride};
  plain_matmul<double>(plain, static_cast<const double*>(a), static_cast<const double*>(b), static_cast<double*>(c),
                       nullptr, spec_.add);
}

}  // namespace stepscope
