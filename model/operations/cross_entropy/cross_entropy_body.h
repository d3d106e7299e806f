// cross_entropy: the loss of a step, and its gradient in the same pass.
//     loss = sum over rows of (log sum_v exp(x[v]) - x[target]) / count     dx[v] = (exp(x[v]) / sum_v exp(x[v]) - [v = target]) factor
// in   logits x [N, V] fp32 · target [N] int32 in [-1, V), -1 = ignored: no loss, gradient 0 · count: targets that count in the whole
//      step, known before its first micro-step; 0 if all are ignored, then loss and gradients are 0 · factor: 1 / count times the
//      scale of the loss's gradient
// out  loss [1] fp32 · dlogits [N, V] any float; may lie over the logits
// A team a row. The greatest logit and the sum of exponentials are found in one pass over memory: block by block of 1,024, which
// stay in the first cache between the block's maximum and its sum; a new maximum rescales the sum so far (one exp a block). The
// losses of rows are summed in fp64, in order.
// Bound by bytes on a card, 3 N V elements (the row is read again for its gradient); by 2 N V exponentials on a CPU (0.4 ns each).
// Source: Milakov and Gimelshein 2018, arXiv:1805.02867 (the running maximum), by blocks.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

template <class A>
struct MaximumAndSum {
  A maximum, sum;  // sum of exp(x - maximum)
};

template <class Team, class M>
STEPSCOPE_BODY MaximumAndSum<M> maximum_and_sum(const Team& team, const M* x, std::int64_t columns) {
  constexpr std::int64_t block = 1024;
  M maximum = -INFINITY, sum = 0;
  for (std::int64_t first = 0; first < columns; first += block) {
    const std::int64_t count = columns - first < block ? columns - first : block;
    const M* part = x + first;
    const M higher = max_of(maximum, team.reduce(
                                         count, M(-INFINITY), [=](std::int64_t i) { return part[i]; },
                                         [](M a, M b) { return max_of(a, b); }));
    sum = sum * (first == 0 ? M(1) : exp_of(maximum - higher)) +
          team.template sum<M>(count, [=](std::int64_t i) { return exp_of(part[i] - higher); });
    maximum = higher;
  }
  return {maximum, sum};
}

// What the gradient of each logit of a row is made of.
template <class M>
struct CrossEntropyRow {
  M maximum, inverse_sum;
  std::int32_t target;
  M factor;
  STEPSCOPE_INLINE M gradient(M x, std::int64_t v) const {
    const M share = exp_of(x - maximum) * inverse_sum;
    return (v == target ? share - M(1) : share) * factor;
  }
};

template <class M>
STEPSCOPE_INLINE double loss_of_row(M maximum, M sum, M at_target) {
  return static_cast<double>(log_of(sum)) + (static_cast<double>(maximum) - static_cast<double>(at_target));
}

// Writes the row's gradient and returns its loss, not yet divided by the count.
template <class Team, class M, class T>
STEPSCOPE_BODY double cross_entropy_row(const Team& team, const M* x, std::int32_t target, M factor, T* dx,
                                        std::int64_t columns) {
  using A = Accumulator<T>;
  if (target < 0) {
    team.for_each(columns, [=](std::int64_t v) { dx[v] = store<T>(A(0)); });
    return 0;
  }
  const M at_target = x[target];  // by every member, before a reduction lets any of them write dx over x
  const MaximumAndSum<M> row = maximum_and_sum(team, x, columns);
  const CrossEntropyRow<M> of_row{row.maximum, M(1) / row.sum, target, factor};
  const double loss = loss_of_row(row.maximum, row.sum, at_target);
  team.for_each(columns, [=](std::int64_t v) { dx[v] = store<T>(static_cast<A>(of_row.gradient(x[v], v))); });
  return loss;
}

}  // namespace stepscope
