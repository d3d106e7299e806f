#include "tests/support/plain_attention.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace stepscope::testing {

namespace {

constexpr double fp32 = 0x1p-24;

struct Rounding {
  double unit = 0, tiny = 0;  // relative error, absolute error of subnormal numbers
};
Rounding rounding(DType dtype) {
  if (dtype == DType::bf16) return {0x1p-8, 0x1p-134};
  if (dtype == DType::fp16) return {0x1p-11, 0x1p-25};
  return {fp32, 0x1p-150};
}

struct Loops : PlainAttention {
  explicit Loops(PlainAttention plain)
      : PlainAttention(std::move(plain)), type_(rounding(operands)), narrow_(rounding(probabilities)) {}
  void run_all();

 private:
  // Of the query of a head, or of the key (1) or value (2) that it looks at.
  [[nodiscard]] std::size_t packed(std::int64_t b, std::int64_t s, std::int64_t head, int part, std::int64_t d) const;
  [[nodiscard]] std::size_t out(std::int64_t b, std::int64_t s, std::int64_t head, std::int64_t d) const {
    return static_cast<std::size_t>(((b * sequence + s) * heads + head) * width + d);
  }
  // Weights of the row, all zero if it sees nothing; returns by what share of itself each may be off before it is rounded.
  double weigh_row(std::int64_t b, std::int64_t head, std::int64_t i, double* weights);
  void run_row(std::int64_t b, std::int64_t head, std::int64_t i);
  void add(std::size_t to, double term, double off);
  [[nodiscard]] double rounded(const Bounded& x) const;  // its bound after a rounding to the operands' type

  Rounding type_, narrow_;
};

std::size_t Loops::packed(std::int64_t b, std::int64_t s, std::int64_t head, int part, std::int64_t d) const {
  const std::int64_t queries = heads / kv_heads, inside = part == 0 ? head % queries : queries + part - 1;
  return static_cast<std::size_t>(((b * sequence + s) * kv_heads + head / queries) * (queries + 2) * width +
                                  inside * width + d);
}

double Loops::rounded(const Bounded& x) const {
  return x.bound + type_.unit * (std::fabs(x.value) + x.bound) + type_.tiny;
}

void Loops::add(std::size_t to, double term, double off) {
  dqkv[to].value += term;
  dqkv[to].bound += off + fp32 * static_cast<double>(heads * sequence) * std::fabs(term);
}

void Loops::run_all() {
  const auto rows = static_cast<std::size_t>(batch * sequence * heads);
  o.assign(rows * static_cast<std::size_t>(width), {});
  lse.assign(rows, {});
  delta.assign(rows, {});
  p.assign(rows * static_cast<std::size_t>(sequence), {});
  dqkv.assign(qkv.size(), {});
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t head = 0; head < heads; ++head)
      for (std::int64_t i = 0; i < sequence; ++i) run_row(b, head, i);
  for (Bounded& x : dqkv) x.bound = rounded(x);
  for (Bounded& x : dqkv)
    if (scales_queries) x.bound = rounded(x);
}

double Loops::weigh_row(std::int64_t b, std::int64_t head, std::int64_t i, double* weights) {
  double most = -INFINITY, sum = 0, score_off = 0;  // score_off: of any visible score
  for (std::int64_t j = 0; j < sequence; ++j) {
    if (hidden(b, head, i, j)) continue;
    double score = 0, magnitude = 0;
    for (std::int64_t d = 0; d < width; ++d) {
      const double term = qkv[packed(b, i, head, 0, d)] * qkv[packed(b, j, head, 1, d)];
      score += term;
      magnitude += std::fabs(term);
    }
    weights[j] = scale * score;
    most = std::max(most, scale * score);
    const double share = static_cast<double>(width + 4) * fp32 + (scales_queries ? type_.unit : 0);
    score_off = std::max(score_off, share * scale * magnitude);
  }
  for (std::int64_t j = 0; j < sequence; ++j) {
    weights[j] = hidden(b, head, i, j) ? 0.0 : std::exp(weights[j] - most);
    sum += weights[j];
  }
  for (std::int64_t j = 0; j < sequence && sum > 0; ++j) weights[j] /= sum;
  Bounded& statistic = lse[static_cast<std::size_t>((b * heads + head) * sequence + i)];
  statistic.value = most + std::log(sum);
  statistic.bound = 2 * score_off + (static_cast<double>(sequence) + 8) * fp32 + 4 * fp32 * std::fabs(most);
  // A score and the statistic that it is compared with may both be off; exponentials and the sum add their own.
  return std::exp(2 * statistic.bound + 16 * fp32) - 1;
}

void Loops::run_row(std::int64_t b, std::int64_t head, std::int64_t i) {
  const auto S = static_cast<std::size_t>(sequence), at = static_cast<std::size_t>((b * heads + head) * sequence + i);
  const double n = static_cast<double>(width), rows = static_cast<double>(sequence);
  const double head_off = rounds_heads ? 2 * type_.unit : 0;  // of the terms of a sum, which are more than the sum
  std::vector<double> weights(S, 0.0), dp(S, 0.0), dp_off(S, 0.0);
  const double weight_off = weigh_row(b, head, i, weights.data());
  const double held_off = weight_off + narrow_.unit,
               multiplied_off = held_off + type_.unit;  // of a weight, at two places
  for (std::size_t j = 0; j < S; ++j)
    p[at * S + j] = {weights[j], weights[j] == 0 ? 0.0 : held_off * weights[j] + narrow_.tiny};

  for (std::int64_t d = 0; d < width; ++d) {
    Bounded& to = o[out(b, i, head, d)];
    double magnitude = 0;
    for (std::size_t j = 0; j < S; ++j) {
      if (weights[j] == 0) continue;
      const double v = qkv[packed(b, static_cast<std::int64_t>(j), head, 2, d)], term = weights[j] * v;
      to.value += term;
      to.bound += (multiplied_off + fp32 * rows) * std::fabs(term) + (type_.tiny + narrow_.tiny) * std::fabs(v);
      magnitude += std::fabs(term);
    }
    to.bound = rounded(to);
    // delta is made of the rounded o, or of weights and dp.
    const double g = dout[out(b, i, head, d)];
    delta[at].value += g * to.value;
    delta[at].bound += std::fabs(g) * (to.bound + 2 * n * fp32 * magnitude);
  }

  for (std::size_t j = 0; j < S; ++j) {
    const auto key = static_cast<std::int64_t>(j);
    if (weights[j] == 0) continue;
    for (std::int64_t d = 0; d < width; ++d) {
      const double g = dout[out(b, i, head, d)], v = qkv[packed(b, key, head, 2, d)];
      dp[j] += g * v;
      dp_off[j] += n * fp32 * std::fabs(g * v);
      add(packed(b, key, head, 2, d), weights[j] * g,
          (multiplied_off * weights[j] + type_.tiny + narrow_.tiny) * std::fabs(g) +
              head_off * weights[j] * std::fabs(g));
    }
    Bounded ds{scale * weights[j] * (dp[j] - delta[at].value), 0};
    ds.bound = scale * (weights[j] * (1 + held_off) + narrow_.tiny) * (dp_off[j] + delta[at].bound) +
               held_off * std::fabs(ds.value) + narrow_.tiny * scale * std::fabs(dp[j] - delta[at].value);
    const double ds_off = rounded(ds), query_off = scales_queries ? type_.unit : 0;
    for (std::int64_t d = 0; d < width; ++d) {
      const double q = qkv[packed(b, i, head, 0, d)], k = qkv[packed(b, key, head, 1, d)];
      add(packed(b, i, head, 0, d), ds.value * k, ds_off * std::fabs(k));
      add(packed(b, key, head, 1, d), ds.value * q,
          (ds_off + (query_off + head_off) * std::fabs(ds.value)) * std::fabs(q));
    }
  }
}

}  // namespace

void PlainAttention::run() {
  Loops loops(std::move(*this));
  loops.run_all();
  *this = std::move(static_cast<PlainAttention&>(loops));
}

}  // namespace stepscope::testing
