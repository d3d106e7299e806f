// layer_norm: each row of x is centred and scaled to unit variance, then each feature is scaled and shifted.
//     mean = sum(x) / H     rstd = 1 / sqrt(sum((x - mean)^2) / H + epsilon)     y = (x - mean) rstd scale + bias
// in   x [N, H] any float · scale [H], bias [H] fp32     out   y [N, H] as x or narrower · statistics mean, rstd [N] fp32     N = B S, H hidden
// (fp64 throughout where x is fp64.)
// Forward: a team a row. The row stays in local, so x is read once and y may lie where x lay. Two reductions, because
// E[x^2] - mean^2 loses every digit of a row far from zero (test: keeps_a_row_far_from_zero).
// Backward from x, mean, rstd, with n = (x - mean) rstd, g = dy scale and avg over the H features of a row:
//     dx = rstd (g - avg(g) - n avg(g n))  [+ the gradient x already has]
//     dscale = sum over rows of dy n     dbias = sum over rows of dy
// dx goes by team and may lie over dy or over the gradient so far; dscale and dbias go by tile, before dx of the same rows.
// Bound by bytes: forward moves 2 N H elements, backward 3 (dy, x, dx: a row is in the first cache when it is read again), 4 with a
// gradient so far.
// Source: Ba, Kiros, Hinton 2016, arXiv:1607.06450, section 3. Backward: chain rule, held to fp64 differences by OperationLaws.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

template <class Team, class T, class Y>
STEPSCOPE_BODY void layer_norm_row(const Team& team, const T* x, const Accumulator<T>* scale,
                                   const Accumulator<T>* bias, Y* y, Accumulator<T>* mean, Accumulator<T>* rstd,
                                   std::int64_t features, Accumulator<T> epsilon) {
  using A = Accumulator<T>;
  const auto row = team.local(x, features);
  const A count = static_cast<A>(features);
  const A centre = team.template sum<A>(features, [=](std::int64_t i) { return row[i]; }) / count;
  const A variance = team.template sum<A>(features, [=](std::int64_t i) {
    const A distance = row[i] - centre;
    return distance * distance;
  }) / count;
  const A inverse = A(1) / sqrt_of(variance + epsilon);
  team.for_each(features, [=](std::int64_t i) { y[i] = store<Y>((row[i] - centre) * inverse * scale[i] + bias[i]); });
  *mean = centre;
  *rstd = inverse;
}

// Adds rows first_row .. past_row - 1 to the partial sums of dscale and dbias.
template <class Tile, class Y, class T>
STEPSCOPE_BODY void layer_norm_column_sums(const Tile& tile, const Y* dy, const T* x, const Accumulator<T>* mean,
                                           const Accumulator<T>* rstd, Accumulator<T>* scale_sum,
                                           Accumulator<T>* bias_sum, std::int64_t first_row, std::int64_t past_row,
                                           std::int64_t features) {
  using A = Accumulator<T>;
  tile.for_each(first_row, past_row, features, [=](std::int64_t row, std::int64_t j) {
    const std::int64_t at = row * features + j;
    const A gradient = load(dy[at]);
    scale_sum[j] += gradient * ((load(x[at]) - mean[row]) * rstd[row]);
    bias_sum[j] += gradient;
  });
}

// so_far: the gradient that x already has, or null.
template <class Team, class Y, class T>
STEPSCOPE_BODY void layer_norm_gradient_row(const Team& team, const Y* dy, const T* x, Accumulator<T> mean,
                                            Accumulator<T> rstd, const Accumulator<T>* scale, const T* so_far, T* dx,
                                            std::int64_t features) {
  using A = Accumulator<T>;
  const auto row = team.local(x, features);
  const auto outer = team.local(dy, features);
  const A count = static_cast<A>(features);
  const A g_average = team.template sum<A>(features, [=](std::int64_t i) { return outer[i] * scale[i]; }) / count;
  const A gn_average = team.template sum<A>(features, [=](std::int64_t i) {
    return outer[i] * scale[i] * ((row[i] - mean) * rstd);
  }) / count;
  const auto gradient = [=](std::int64_t i) {
    return rstd * (outer[i] * scale[i] - g_average - (row[i] - mean) * rstd * gn_average);
  };
  if (so_far == nullptr)
    team.for_each(features, [=](std::int64_t i) { dx[i] = store<T>(gradient(i)); });
  else
    team.for_each(features, [=](std::int64_t i) { dx[i] = store<T>(gradient(i) + load(so_far[i])); });
}

}  // namespace stepscope
