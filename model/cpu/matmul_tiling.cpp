#include "model/cpu/matmul_tiling.h"

#include <algorithm>
#include <string>

#include "model/base/error.h"
#include "model/cpu/workspace.h"

namespace stepscope {
namespace {

std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

bool is_narrow(DType dtype) { return dtype == DType::bf16 || dtype == DType::fp16; }

MatmulTiling::Path path_of(const MatmulSpec& s, const Machine& machine) {
  const bool known = is_narrow(s.in) || s.in == DType::fp32 || s.in == DType::fp64;
  const bool narrows = is_narrow(s.out) && (s.in == DType::fp32 || s.may_add);
  if (!known || (s.out != s.in && !narrows && !(is_narrow(s.in) && s.out == DType::fp32)))
    throw ProgramError("V2", "no matmul of " + std::string(name_of(s.in)) + " gives " + std::string(name_of(s.out)));
  if (s.in == DType::fp64 || s.k == 0) return MatmulTiling::Path::plain;
  return multiplies(machine, s.in) ? MatmulTiling::Path::direct : MatmulTiling::Path::widened;
}

// Measured on one thread with 1 MiB of second-level cache, oneDNN 2.6.3, share of the fp32 kernel's peak of 117 GFLOP/s:
// a by rows, b within the cache  [1024,256] [256,1024]     64 rows 0.86   128 rows 0.90   256 rows 0.93
// a by rows, b beyond it         [2048,1024] [1024,4096]   64 rows 0.71   128 rows 0.81   256 rows 0.89
// a transposed (dW), small       [256,1024] [1024,1024]    128 x 128 0.84   128 x 256 0.84   128 x 1024 0.88
// a transposed (dW), large       [1024,2048] [2048,4096]   128 x 256 0.70   256 x 256 0.75   256 x 1024 0.84
// Columns are cut only where a is transposed: oneDNN 2.6 has its best kernels for dense b and c only.
struct TileSize {
  std::int64_t rows, columns;
};
TileSize tile_size(const MatmulSpec& s) {
  constexpr std::int64_t million = 1 << 20;
  if (s.in == DType::fp64) return {32, s.n};
  if (!s.transpose_a) return {s.k * s.n >= million ? 256 : 128, s.n};
  if (s.m * s.n >= 2 * million) return {256, 1024};
  const bool many = pieces(s.m, 128) * pieces(s.n, 256) >= 8;
  return {128, many ? 256 : 128};
}

}  // namespace

MatmulTiling::MatmulTiling(const MatmulSpec& spec, const Machine& machine)
    : spec_(spec), path_(path_of(spec, machine)), slots_(machine.threads) {
  const TileSize size = tile_size(spec);
  tile_rows_ = std::min(size.rows, std::max<std::int64_t>(spec.m, 1));
  tile_columns_ = std::min(size.columns, std::max<std::int64_t>(spec.n, 1));
  down_ = pieces(spec.m, tile_rows_);
  across_ = pieces(spec.n, tile_columns_);
  layout_ = make_layout();
}

bool MatmulTiling::rounds_tiles() const {
  if (path_ == Path::plain || !is_narrow(spec_.out)) return false;
  return path_ == Path::widened || spec_.may_add || spec_.in != spec_.out;
}

MatmulTiling::Tile MatmulTiling::tile(
    std::int64_t index) const {  // downwards first: neighbours in time share their part of b
  const std::int64_t row = index % down_ * tile_rows_, column = index / down_ * tile_columns_;
  return {row, column, std::min(tile_rows_, spec_.m - row), std::min(tile_columns_, spec_.n - column)};
}

int MatmulTiling::shape_of(const Tile& tile) const {
  const bool last_down = tile.row + tile.rows == spec_.m, last_across = tile.column + tile.columns == spec_.n;
  return (last_down ? 2 : 0) + (last_across ? 1 : 0);
}

MatmulTiling::Tile MatmulTiling::any_of_shape(int shape) const {
  const std::int64_t down = shape / 2 == 1 ? down_ - 1 : 0, across = shape % 2 == 1 ? across_ - 1 : 0;
  return tile(across * down_ + down);
}

TileSpec MatmulTiling::tile_spec(const Tile& tile, bool add) const {
  TileSpec t{.m = tile.rows,
             .n = tile.columns,
             .k = spec_.k,
             .transpose_a = spec_.transpose_a,
             .transpose_b = spec_.transpose_b,
             .a_stride = spec_.a_stride,
             .b_stride = spec_.b_stride,
             .c_stride = spec_.c_stride,
             .in = spec_.in,
             .out = spec_.out,
             .bias = spec_.bias,
             .add = add && !rounds_tiles()};
  if (path_ == Path::widened) {
    t.a_stride = spec_.transpose_a ? tile.rows : spec_.k;
    t.b_stride = spec_.transpose_b ? spec_.k : spec_.n;
    t.in = DType::fp32;
  }
  if (rounds_tiles()) t.c_stride = tile.columns, t.out = DType::fp32;
  return t;
}

std::int64_t MatmulTiling::scratch_bytes() const {
  if (path_ == Path::plain || tiles() == 0) return 0;
  std::int64_t most = 0;
  for (int shape = 0; shape < 4; ++shape)
    for (const bool add : {false, spec_.may_add})
      most = std::max(most, TileMatmul::scratch_bytes_of(tile_spec(any_of_shape(shape), add)));
  return most;
}

MatmulTiling::Layout MatmulTiling::make_layout() const {
  constexpr std::int64_t word = size_bytes(DType::fp32);
  WorkspaceLayout shared, slot;
  Layout l;
  if (path_ == Path::widened) {
    l.b = shared.place(spec_.k * spec_.n * word);
    l.bias = shared.place(spec_.bias ? spec_.n * word : 0);
    l.a_tile = slot.place(tile_rows_ * spec_.k * word);
  }
  l.c_tile = slot.place(rounds_tiles() ? tile_rows_ * tile_columns_ * word : 0);
  l.scratch = slot.place(scratch_bytes());
  l.slots = shared.total_bytes();
  l.slot_bytes = slot.total_bytes();
  l.total = l.slots + slots_ * l.slot_bytes;
  return l;
}

}  // namespace stepscope
