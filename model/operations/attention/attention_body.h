// attention: o = softmax(scale q k^T + mask) v for each head, one block of query rows at a time.
//     s = scale q . k_j for the keys j that the query sees      m = max(s)     l = sum(exp(s - m))     lse = m + log(l)
//     p = exp(s - m) / l, exactly 0 for hidden keys             o = sum of p_j v_j
// in   q [B, S, heads, D], k, v [B, S, kv_heads, D] any float     out   o [B, S, heads D] as q · lse [B, heads, S] fp32     -inf where nothing is seen
// A block of scores is a matmul, so is o; here are the rows between them, held in fp32 (fp64 for fp64). The maximum is taken first, since
// exp(s) overflows from 89 on. Where operands are narrow, p is rounded to their type before it meets v, as fused kernels on cards do.
// Backward from q, k, v, o, lse with delta = sum over D of do o, block by block of queries and added in their order:
//     p = exp(scale s - lse)   dv += p^T do   dp = do v^T   ds = scale p (dp - delta)   dq = ds k   dk += ds^T q
// p and ds are rounded to the operands' type before they are multiplied; p may be rounded before that to a type of its own, forward
// and backward alike. A row that sees nothing has p = 0: no gradient passes.
// Bound by FLOPs: 2 matmuls of 2 S S D a head forward, 5 backward; causal blocks multiply only the keys they may see.
// Source: Dao et al. 2022, arXiv:2205.14135, algorithms 1 and 4 (sections 3.1 and B.4), without their blocks over keys.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"

namespace stepscope {

struct VisibleKeys {
  std::int64_t count = 0;  // keys past the first `count` are hidden
  const std::uint8_t* custom = nullptr;  // and those before it for which this is 0
};

template <class Team>
STEPSCOPE_BODY bool sees_anything(const Team& team, VisibleKeys keys) {
  if (keys.custom == nullptr) return keys.count > 0;
  return team.reduce(
             keys.count, 0, [=](std::int64_t j) { return static_cast<int>(keys.custom[j] != 0); },
             [](int a, int b) { return a | b; }) != 0;
}

template <class Team, class A>
STEPSCOPE_BODY void zero_row(const Team& team, A* row, std::int64_t columns) {
  team.for_each(columns, [=](std::int64_t j) { row[j] = A(0); });
}

// Scores times scale; -inf where hidden, so that exp gives an exact 0. Loops run over all columns, not over the keys seen: whole
// vectors cost less than the odd end of a short row, and adding zeros changes no sum.
template <class Team, class A>
STEPSCOPE_BODY void scale_and_hide(const Team& team, A* row, VisibleKeys keys, A scale, std::int64_t columns) {
  const auto count = static_cast<std::int32_t>(keys.count);  // as wide as a float: compared by whole vectors
  if (keys.custom == nullptr)
    team.for_each(columns, [=](std::int64_t j) {
      row[j] = static_cast<std::int32_t>(j) < count ? row[j] * scale : A(-INFINITY);
    });
  else
    team.for_each(columns, [=](std::int64_t j) {
      const bool seen = (static_cast<std::int32_t>(j) < count) & (keys.custom[j] != 0);
      row[j] = seen ? row[j] * scale : A(-INFINITY);
    });
}

// row [columns]: scores in, weights out. Returns lse.
template <class Team, class A>
STEPSCOPE_BODY A softmax_row(const Team& team, A* row, VisibleKeys keys, A scale, std::int64_t columns) {
  if (!sees_anything(team, keys)) {
    zero_row(team, row, columns);
    return A(-INFINITY);
  }
  scale_and_hide(team, row, keys, scale, columns);
  const A most = team.reduce(
      columns, A(-INFINITY), [=](std::int64_t j) { return row[j]; }, max_of<A>);
  team.for_each(columns, [=](std::int64_t j) { row[j] = exp_of(row[j] - most); });
  const A sum = team.template sum<A>(columns, [=](std::int64_t j) { return row[j]; });
  const A share = A(1) / sum;
  team.for_each(columns, [=](std::int64_t j) { row[j] *= share; });
  return most + log_of(sum);
}

// row [columns]: scores in, the weights that softmax_row gave out.
template <class Team, class A>
STEPSCOPE_BODY void weights_row(const Team& team, A* row, VisibleKeys keys, A scale, A lse, std::int64_t columns) {
  if (!sees_anything(team, keys)) return zero_row(team, row, columns);
  scale_and_hide(team, row, keys, scale, columns);
  team.for_each(columns, [=](std::int64_t j) { row[j] = exp_of(row[j] - lse); });
}

// ds = scale p (dp - delta), over dp; a key of no weight has no gradient, whatever its dp is.
template <class Team, class A>
STEPSCOPE_BODY void score_gradient_row(const Team& team, const A* p, A* dp, A scale, A delta, std::int64_t columns) {
  team.for_each(columns, [=](std::int64_t j) { dp[j] = p[j] == A(0) ? A(0) : scale * (p[j] * (dp[j] - delta)); });
}

template <class Team, class T>
STEPSCOPE_BODY Accumulator<T> dot_row(const Team& team, const T* a, const T* b, std::int64_t n) {
  return team.template sum<Accumulator<T>>(n, [=](std::int64_t i) { return load(a[i]) * load(b[i]); });
}

// The weights of a row rounded to a narrow type and held as they were; a type of 4 bytes or more rounds nothing.
template <class Team, class A>
STEPSCOPE_BODY void round_probabilities(const Team& team, DType narrow, A* row, std::int64_t n) {
  if (narrow == DType::bf16)
    team.for_each(n, [=](std::int64_t j) { row[j] = load(to_bf16(static_cast<float>(row[j]))); });
  else if (narrow == DType::fp16)
    team.for_each(n, [=](std::int64_t j) { row[j] = load(to_fp16(static_cast<float>(row[j]))); });
}

// to = from rounded to T and held as M; from and to may be one row.
template <class T, class M, class Team, class A>
STEPSCOPE_BODY void round_row(const Team& team, const A* from, M* to, std::int64_t n) {
  team.for_each(n, [=](std::int64_t j) { to[j] = store<M>(load(store<T>(from[j]))); });
}

}  // namespace stepscope
