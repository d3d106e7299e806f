// How a matmul is cut into tiles and where its workspace lies, decided by its spec and the machine before anything runs.
//     const MatmulTiling tiling(spec, machine);
//     for (std::int64_t i = 0; i < tiling.tiles(); ++i) { const MatmulTiling::Tile t = tiling.tile(i); ... }
// Tiles depend on the spec alone. Sizes and offsets of the workspace are bytes; strides are elements between stored rows.
#pragma once

#include <cstdint>

#include "model/base/matmul_spec.h"
#include "model/cpu/tile_matmul.h"
#include "model/program/cost.h"

namespace stepscope {

class MatmulTiling {
 public:
  // plain: own loops. direct: oneDNN on the operands as they are. widened: oneDNN on fp32 copies of narrow operands.
  enum class Path { plain, direct, widened };
  struct Tile {
    std::int64_t row, column, rows, columns;
  };
  // Widened operands first, shared by all threads, then a slot for each thread: its tiles of a and c, oneDNN's scratch.
  struct Layout {
    std::int64_t b = 0, bias = 0, slots = 0;  // from the start of the workspace
    std::int64_t slot_bytes = 0, a_tile = 0, c_tile = 0, scratch = 0;  // the last three from the start of a slot
    std::int64_t total = 0;
  };

  MatmulTiling(const MatmulSpec& spec,
               const Machine& machine);  // throws ProgramError for types that do not go together

  [[nodiscard]] const MatmulSpec& spec() const { return spec_; }
  [[nodiscard]] Path path() const { return path_; }
  [[nodiscard]] const Layout& layout() const { return layout_; }
  [[nodiscard]] int slots() const { return slots_; }
  // Whether a tile of c is made in fp32 in the workspace and rounded, or added, into c from there.
  [[nodiscard]] bool rounds_tiles() const;
  [[nodiscard]] std::int64_t tiles() const { return down_ * across_; }
  [[nodiscard]] Tile tile(std::int64_t index) const;
  // Tiles have at most four shapes: whole or last, downwards and across.
  [[nodiscard]] int shape_of(const Tile& tile) const;
  [[nodiscard]] Tile any_of_shape(int shape) const;
  [[nodiscard]] TileSpec tile_spec(const Tile& tile, bool add) const;  // what oneDNN multiplies

 private:
  [[nodiscard]] std::int64_t scratch_bytes() const;
  [[nodiscard]] Layout make_layout() const;

  MatmulSpec spec_;
  Path path_ = Path::direct;
  int slots_ = 1;
  std::int64_t tile_rows_ = 1, tile_columns_ = 1, down_ = 0, across_ = 0;
  Layout layout_;
};

}  // namespace stepscope
