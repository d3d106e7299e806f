#include "tests/support/plain_attention.h"

#include <algorithm>

namespace stepscope::testing {

void PlainAttention::run() {
  const std::int64_t rows = batch * sequence;
  o.assign(static_cast<std::size_t>(rows * heads * width), {});
  lse.assign(static_cast<std::size_t>(rows * heads), {});
  delta = lse;
  dqkv.assign(static_cast<std::size_t>(rows * (heads + 2 * kv_heads) * width), {});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t i = 0; i < sequence; ++i) run_row(b, head, i);
  for (Bounded& x : dqkv) x.bound += unit * (std::fabs(x.value) + x.bound) + tiny;
}

void PlainAttention::run_row(std::int64_t b, std::int64_t head, std::int64_t i) {
  const auto S = static_cast<std::size_t>(sequence);
  const double n = static_cast<double>(width);
  std::vector<double> p(S, 0.0), dp(S, 0.0), dp_off(S, 0.0);
  double most = -INFINITY, sum = 0, score_off = 0;  // score_off: of any visible score, from a sum of `width` terms
  for (std::int64_t j = 0; j < sequence; ++j) {
    if (hidden(b, head, i, j)) continue;
    double score = 0, magnitude = 0;
    for (std::int64_t d = 0; d < width; ++d) {
      const double term = qkv[packed(b, i, head, 0, d)] * qkv[packed(b, j, head, 1, d)];
      score += term;
      magnitude += std::fabs(term);
    }
    p[static_cast<std::size_t>(j)] = scale * score;
    most = std::max(most, scale * score);
    score_off = std::max(score_off, (n + 4) * fp32 * scale * magnitude);
  }
  for (std::int64_t j = 0; j < sequence; ++j) {
    double& weight = p[static_cast<std::size_t>(j)];
    weight = hidden(b, head, i, j) ? 0.0 : std::exp(weight - most);
    sum += weight;
  }
  for (double& weight : p) weight = sum > 0 ? weight / sum : 0.0;
  const std::size_t at = static_cast<std::size_t>((b * heads + head) * sequence + i);
  lse[at].value = most + std::log(sum);
  lse[at].bound = 2 * score_off + (static_cast<double>(sequence) + 8) * fp32 + 4 * fp32 * std::fabs(most);
  // A score and the statistic that it is compared with may both be off; exponentials and the sum add their own.
  const double weight_off = 2 * lse[at].bound + 16 * fp32;

  for (std::int64_t d = 0; d < width; ++d) {
    Bounded& to = o[out(b, i, head, d)];
    for (std::size_t j = 0; j < S; ++j) {
      const double v = qkv[packed(b, static_cast<std::int64_t>(j), head, 2, d)], term = p[j] * v;
      to.value += term;
      to.bound += (unit * roundings + weight_off + fp32 * static_cast<double>(sequence)) * std::fabs(term);
      if (p[j] > 0) to.bound += tiny * std::fabs(v);
    }
    to.bound += unit * (std::fabs(to.value) + to.bound) + tiny;
  }

  // delta is made of the rounded o.
  for (std::int64_t d = 0; d < width; ++d) {
    const Bounded& from = o[out(b, i, head, d)];
    const double g = dout[out(b, i, head, d)];
    delta[at].value += g * from.value;
    delta[at].bound += std::fabs(g) * (from.bound + n * fp32 * std::fabs(from.value));
  }
  for (std::size_t j = 0; j < S; ++j) {
    const auto key = static_cast<std::int64_t>(j);
    if (p[j] == 0) continue;
    for (std::int64_t d = 0; d < width; ++d) {
      const double g = dout[out(b, i, head, d)], v = qkv[packed(b, key, head, 2, d)];
      dp[j] += g * v;
      dp_off[j] += n * fp32 * std::fabs(g * v);
      add(packed(b, key, head, 2, d), p[j] * g, ((unit * roundings + weight_off) * p[j] + tiny) * std::fabs(g));
    }
    const double ds = scale * p[j] * (dp[j] - delta[at].value), p_off = weight_off + unit * (roundings - 1);
    const double off = scale * p[j] * (dp_off[j] + delta[at].bound) + p_off * std::fabs(ds);
    const double ds_off = off + unit * (std::fabs(ds) + off) + tiny;
    for (std::int64_t d = 0; d < width; ++d) {
      const double q = qkv[packed(b, i, head, 0, d)], k = qkv[packed(b, key, head, 1, d)];
      add(packed(b, i, head, 0, d), ds * k, ds_off * std::fabs(k));
      add(packed(b, key, head, 1, d), ds * q, ds_off * std::fabs(q));
    }
  }
}

}  // namespace stepscope::testing
