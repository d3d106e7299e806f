// qk_norm: an rms norm over each query and key of a row of packed heads; the row of a head is rms_norm's row.
//     y = x rstd scale,  rstd = 1 / sqrt(sum(x^2) / D + epsilon)     dx, dscale as in rms_norm_body.h
// in   a row of qkv: kv head by kv head its queries, key and value, D features each, any float · scales [D] fp32
// out  y as the row, may lie over it · rstd, one for each query and key in their order
// Gradients of the scales are sums over rows and heads, in their order.
// Bound by bytes: forward moves 2 elements of qkv, backward 3.
// Source: operations/rms_norm; Yang et al. 2025, arXiv:2505.09388, section 2.
#pragma once

#include "model/operations/packed_heads.h"
#include "model/operations/rms_norm/rms_norm_body.h"

namespace stepscope {

template <class Team, class T>
STEPSCOPE_BODY void qk_norm_row(const Team& team, const PackedHeads& heads, const T* x, const Accumulator<T>* q_scale,
                                const Accumulator<T>* k_scale, T* y, Accumulator<T>* rstd, Accumulator<T> epsilon) {
  const std::int64_t width = heads.head_dim;
  for (std::int64_t group = 0; group < heads.kv_heads; ++group) {
    for (std::int64_t head = 0; head <= heads.queries; ++head) {
      const std::int64_t at = heads.group_at(group) + head * width;
      rms_norm_row(team, x + at, head < heads.queries ? q_scale : k_scale, y + at,
                   rstd + group * (heads.queries + 1) + head, width, epsilon);
    }
    const std::int64_t value = heads.group_at(group) + (heads.queries + 1) * width;
    copy_head(team, x + value, y + value, width);
  }
}

// scale_sums [2 D]: of q_scale, then of k_scale. They grow by this row before dx may lie over dy.
template <class Team, class Tile, class T>
STEPSCOPE_BODY void qk_norm_gradient_row(const Team& team, const Tile& tile, const PackedHeads& heads, const T* dy,
                                         const T* x, const Accumulator<T>* rstd, const Accumulator<T>* q_scale,
                                         const Accumulator<T>* k_scale, Accumulator<T>* scale_sums, T* dx) {
  const std::int64_t width = heads.head_dim;
  for (std::int64_t group = 0; group < heads.kv_heads; ++group) {
    for (std::int64_t head = 0; head <= heads.queries; ++head) {
      const std::int64_t at = heads.group_at(group) + head * width;
      const bool query = head < heads.queries;
      const Accumulator<T>* const inverse = rstd + group * (heads.queries + 1) + head;
      rms_norm_column_sums(tile, dy + at, x + at, inverse, scale_sums + (query ? 0 : width), 0, 1, width);
      rms_norm_gradient_row(team, dy + at, x + at, *inverse, query ? q_scale : k_scale, static_cast<const T*>(nullptr),
                            dx + at, width);
    }
    const std::int64_t value = heads.group_at(group) + (heads.queries + 1) * width;
    copy_head(team, dy + value, dx + value, width);
  }
}

}  // namespace stepscope
