#include "model/cpu/matmul.h"

#include <algorithm>
#include <type_traits>

#include "model/base/error.h"
#include "model/base/half.h"
#include "model/cpu/plain_matmul.h"
#include "model/cpu/threads.h"
#include "model/cpu/widen.h"

namespace stepscope {
namespace {

const std::byte* element(const void* base, std::int64_t index, DType dtype) {
  return static_cast<const std::byte*>(base) + index * size_bytes(dtype);
}
std::byte* element(void* base, std::int64_t index, DType dtype) {
  return static_cast<std::byte*>(base) + index * size_bytes(dtype);
}

}  // namespace

std::int64_t matmul_workspace(const MatmulSpec& spec, const Machine& machine) {
  return MatmulTiling(spec, machine).layout().total;
}

Matmul::Matmul(const MatmulSpec& spec, const Machine& machine) : tiling_(spec, machine), spec_(spec) {
  if (tiling_.path() == MatmulTiling::Path::plain || tiling_.tiles() == 0) return;
  for (int slot = 0; slot < tiling_.slots(); ++slot)
    for (int shape = 0; shape < 4; ++shape)
      for (const bool add : {false, spec.may_add})
        calls_.emplace_back(TileMatmul::get(tiling_.tile_spec(tiling_.any_of_shape(shape), add)));
}

const TileMatmul::Call& Matmul::call(const Tile& tile, int slot, bool add) const {
  return calls_[static_cast<std::size_t>((slot * 4 + tiling_.shape_of(tile)) * 2 + (add ? 1 : 0))];
}

void Matmul::run(Threads& threads, const MatmulAddresses& at) const {
  if (threads.count() > tiling_.slots()) throw ProgramError("workspace", "a matmul planned for fewer threads");
  if (at.add && !spec_.may_add) throw ProgramError("workspace", "a matmul that was not planned to add");
  if (tiling_.path() == MatmulTiling::Path::widened) widen_shared(threads, at);
  threads.parallel_for_slots(tiling_.tiles(), [&](std::int64_t index, int slot) {
    const Tile tile = tiling_.tile(index);
    switch (tiling_.path()) {
      case MatmulTiling::Path::plain: return run_plain(at, tile);
      case MatmulTiling::Path::direct: return run_direct(at, tile, slot);
      case MatmulTiling::Path::widened: return run_widened(at, tile, slot);
    }
  });
}

void Matmul::run_plain(const MatmulAddresses& at, const Tile& t) const {
  const PlainSpec plain{.m = t.rows,
                        .n = t.columns,
                        .k = spec_.k,
                        .transpose_a = spec_.transpose_a,
                        .transpose_b = spec_.transpose_b,
                        .a_stride = spec_.a_stride,
                        .b_stride = spec_.b_stride,
                        .c_stride = spec_.c_stride};
  dispatch(spec_.in, [&]<class In>() {
    dispatch(spec_.out, [&]<class Out>() {
      if constexpr (std::is_same_v<Accumulator<In>, Accumulator<Out>>)
        plain_matmul<In, Out>(plain, static_cast<const In*>(at.a) + a_offset(t),
                              static_cast<const In*>(at.b) + b_offset(t), static_cast<Out*>(at.c) + c_offset(t),
                              spec_.bias ? static_cast<const In*>(at.bias) + t.column : nullptr, at.add);
    });
  });
}

void Matmul::run_direct(const MatmulAddresses& at, const Tile& t, int slot) const {
  const MatmulTiling::Layout& l = tiling_.layout();
  std::byte* const mine = at.workspace + l.slots + slot * l.slot_bytes;
  std::byte* const c = element(at.c, c_offset(t), spec_.out);
  call(t, slot, at.add)
      .run(element(at.a, a_offset(t), spec_.in), element(at.b, b_offset(t), spec_.in),
           tiling_.rounds_tiles() ? mine + l.c_tile : c, spec_.bias ? element(at.bias, t.column, spec_.in) : nullptr,
           mine + l.scratch);
  if (tiling_.rounds_tiles()) round_tile(at, t, reinterpret_cast<const float*>(mine + l.c_tile));
}

void Matmul::round_tile(const MatmulAddresses& at, const Tile& t, const float* wide) const {
  std::byte* const c = element(at.c, c_offset(t), spec_.out);
  narrow_rows(spec_.out, wide, t.columns, c, spec_.c_stride, t.rows, t.columns, at.add);
}

void Matmul::run_widened(const MatmulAddresses& at, const Tile& t, int slot) const {
  const MatmulTiling::Layout& l = tiling_.layout();
  std::byte* const mine = at.workspace + l.slots + slot * l.slot_bytes;
  auto* const a = reinterpret_cast<float*>(mine + l.a_tile);
  const std::int64_t rows = spec_.transpose_a ? spec_.k : t.rows, columns = spec_.transpose_a ? t.rows : spec_.k;
  widen_rows(spec_.in, element(at.a, a_offset(t), spec_.in), spec_.a_stride, a, columns, rows, columns);
  const auto* const b = reinterpret_cast<const float*>(at.workspace + l.b);
  const auto* const bias = reinterpret_cast<const float*>(at.workspace + l.bias);
  std::byte* const c = element(at.c, c_offset(t), spec_.out);
  auto* const wide_c = reinterpret_cast<float*>(tiling_.rounds_tiles() ? mine + l.c_tile : c);
  call(t, slot, at.add)
      .run(a, b + (spec_.transpose_b ? t.column * spec_.k : t.column), wide_c, spec_.bias ? bias + t.column : nullptr,
           mine + l.scratch);
  if (tiling_.rounds_tiles()) round_tile(at, t, wide_c);
}

void Matmul::widen_shared(Threads& threads, const MatmulAddresses& at) const {
  const MatmulTiling::Layout& l = tiling_.layout();
  auto* const b = reinterpret_cast<float*>(at.workspace + l.b);
  auto* const bias = reinterpret_cast<float*>(at.workspace + l.bias);
  const std::int64_t rows = spec_.transpose_b ? spec_.n : spec_.k, columns = spec_.transpose_b ? spec_.k : spec_.n;
  constexpr std::int64_t rows_a_task = 16;
  threads.parallel_for((rows + rows_a_task - 1) / rows_a_task, [&](std::int64_t task) {
    const std::int64_t row = task * rows_a_task;
    widen_rows(spec_.in, element(at.b, row * spec_.b_stride, spec_.in), spec_.b_stride, b + row * columns, columns,
               std::min(rows_a_task, rows - row), columns);
  });
  if (spec_.bias) widen_rows(spec_.in, at.bias, spec_.n, bias, spec_.n, 1, spec_.n);
}

}  // namespace stepscope
