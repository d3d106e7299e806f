// rms_norm: each row of x is scaled to a mean square of one, then each feature is scaled.
//     rstd = 1 / sqrt(sum(x^2) / H + epsilon)     y = x rstd scale
// in   x [N, H] any float · scale [H] fp32     out   y [N, H] as x or narrower · statistic rstd [N] fp32     N = B S, H hidden
// (fp64 throughout where x is fp64.)
// Backward from x and rstd, with n = x rstd, g = dy scale and avg over the H features of a row:
//     dx = rstd (g - n avg(g n))  [+ the gradient x already has]     dscale = sum over rows of dy n
// dx goes by team and may lie over dy or over the gradient so far; dscale goes by tile, before dx of the same rows.
// Bound by bytes: forward moves 2 N H elements, backward 3 (dy, x, dx: a row is in the first cache when it is read again), 4 with a
// gradient so far.
// Source: Zhang, Sennrich 2019, arXiv:1910.07467, equation 4. Backward: chain rule, held to fp64 differences by OperationLaws.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

// y may lie where x lies, if they are of one type.
template <class Team, class T, class Y>
STEPSCOPE_BODY void rms_norm_row(const Team& team, const T* x, const Accumulator<T>* scale, Y* y, Accumulator<T>* rstd,
                                 std::int64_t features, Accumulator<T> epsilon) {
  using A = Accumulator<T>;
  const auto row = team.local(x, features);
  const A square = team.template sum<A>(features, [=](std::int64_t i) { return row[i] * row[i]; });
  const A inverse = A(1) / sqrt_of(square / static_cast<A>(features) + epsilon);
  team.for_each(features, [=](std::int64_t i) { y[i] = store<Y>(row[i] * inverse * scale[i]); });
  *rstd = inverse;
}

// Adds rows first_row .. past_row - 1 to the partial sum of dscale.
template <class Tile, class Y, class T>
STEPSCOPE_BODY void rms_norm_column_sums(const Tile& tile, const Y* dy, const T* x, const Accumulator<T>* rstd,
                                         Accumulator<T>* scale_sum, std::int64_t first_row, std::int64_t past_row,
                                         std::int64_t features) {
  tile.for_each(first_row, past_row, features, [=](std::int64_t row, std::int64_t j) {
    const std::int64_t at = row * features + j;
    scale_sum[j] += load(dy[at]) * (load(x[at]) * rstd[row]);
  });
}

// The gradient of scale is, or grows by, the partial sums [count][stride] added in the order of their chunks.
template <class Tile, class A>
STEPSCOPE_BODY void rms_norm_add_partials(const Tile& tile, const A* partial, std::int64_t stride, std::int64_t count,
                                          std::int64_t columns, bool add, A* gradient) {
  if (!add) tile.for_each(0, 1, columns, [=](std::int64_t, std::int64_t j) { gradient[j] = A(0); });
  tile.for_each(0, count, columns,
                [=](std::int64_t chunk, std::int64_t j) { gradient[j] += partial[chunk * stride + j]; });
}

// so_far: the gradient that x already has, or null.
template <class Team, class Y, class T>
STEPSCOPE_BODY void rms_norm_gradient_row(const Team& team, const Y* dy, const T* x, Accumulator<T> rstd,
                                          const Accumulator<T>* scale, const T* so_far, T* dx, std::int64_t features) {
  using A = Accumulator<T>;
  const auto row = team.local(x, features);
  const auto outer = team.local(dy, features);
  const A sum = team.template sum<A>(features, [=](std::int64_t i) { return outer[i] * scale[i] * (row[i] * rstd); });
  const A average = sum / static_cast<A>(features);
  const auto gradient = [=](std::int64_t i) { return rstd * (outer[i] * scale[i] - row[i] * rstd * average); };
  if (so_far == nullptr)
    team.for_each(features, [=](std::int64_t i) { dx[i] = store<T>(gradient(i)); });
  else
    team.for_each(features, [=](std::int64_t i) { dx[i] = store<T>(gradient(i) + load(so_far[i])); });
}

}  // namespace stepscope
