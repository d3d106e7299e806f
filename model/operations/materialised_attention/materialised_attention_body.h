// materialised_attention: attention with the whole matrix of weights in memory, rounded where the seed's model rounds.
//     qs = scale q, rounded to the operands' type     p = softmax(qs k^T + mask) in fp32     p_compute = p rounded     o = p_compute v
// in   q [B, S, heads, D], k, v [B, S, kv_heads, D] any float     out   o [B, S, heads D] as q · p [B, heads, S, S] fp32 · p_compute as q, if narrower
// Rows between the matmuls are those of attention_body.h with scale 1; hidden keys have p exactly 0, a row that sees none is 0.
// Backward needs neither scores nor masks, since p is kept and is 0 where a key is hidden:
//     dp = do v^T   ds = p (dp - sum of dp p), rounded   dv = p_compute^T do   dqs = ds k, rounded   dq = scale dqs   dk = ds^T qs
// Bound by FLOPs (2 and 4 matmuls of 2 S S D a head) and, for narrow heads, by the bytes of p: 4 S S a head, 6 with p_compute.
// Source: the tutorial's `scaled_dot_product_attention` (one mask value for all dtypes, softmax in fp32), and the chain rule.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"

namespace stepscope {

// to = scale from, rounded to T and held as M.
template <class T, class M, class Team, class From>
STEPSCOPE_BODY void scale_row(const Team& team, const From* from, M* to, Accumulator<T> scale, std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) { to[i] = store<M>(load(store<T>(load(store<T>(load(from[i]))) * scale))); });
}

// ds [columns] = p (dp - sum of dp p), rounded; zero past the first `keys`, where p is zero and dp was not made.
template <class Team, class P, class T>
STEPSCOPE_BODY void softmax_gradient_row(const Team& team, const P* p, const Accumulator<T>* dp, T* ds,
                                         std::int64_t keys, std::int64_t columns) {
  using A = Accumulator<T>;
  const A mean = team.template sum<A>(keys, [=](std::int64_t j) { return dp[j] * load(p[j]); });
  team.for_each(keys, [=](std::int64_t j) { ds[j] = store<T>(load(p[j]) * (dp[j] - mean)); });
  team.for_each(columns - keys, [=](std::int64_t j) { ds[keys + j] = store<T>(A(0)); });
}

}  // namespace stepscope
