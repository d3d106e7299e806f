// Attention by its definition, softmax over the keys that a query sees, in both of its kinds; and the turning of queries and keys.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/naive/naive_operations.h"

namespace stepscope::testing {

namespace {

// q [B, S, groups, queries D], k, v [B, S, groups, D] are operands first, first + 1, first + 2.
struct Heads {
  std::size_t batch, sequence, heads, groups, D;
  Heads(const NaiveRun& run, std::size_t first)
      : batch(extent(run, first, 0)),
        sequence(extent(run, first, 1)),
        heads(static_cast<std::size_t>(run.attributes().heads)),
        groups(extent(run, first, 2)),
        D(static_cast<std::size_t>(run.attributes().head_dim)) {}
  static std::size_t extent(const NaiveRun& run, std::size_t in, int axis) {
    return static_cast<std::size_t>(run.ins[in].shape[axis]);
  }
  [[nodiscard]] std::size_t group(std::size_t head) const { return head / (heads / groups); }
  // Places in the gathered operands, and in o [B, S, heads D].
  [[nodiscard]] std::size_t q(std::size_t b, std::size_t s, std::size_t head, std::size_t d) const {
    return ((b * sequence + s) * heads + head) * D + d;
  }
  [[nodiscard]] std::size_t kv(std::size_t b, std::size_t s, std::size_t head, std::size_t d) const {
    return ((b * sequence + s) * groups + group(head)) * D + d;
  }
  [[nodiscard]] std::size_t row(std::size_t b, std::size_t head, std::size_t i) const {
    return (b * heads + head) * sequence + i;
  }
  template <class F>
  void for_each_row(F f) const {
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t head = 0; head < heads; ++head)
        for (std::size_t i = 0; i < sequence; ++i) f(b, head, i);
  }
};

// Of the masks that follow operand `next`: lengths, then the custom one.
bool sees(NaiveRun& run, std::size_t next, std::size_t b, std::size_t head, std::size_t i, std::size_t j) {
  const MaskKinds& kinds = run.attributes().mask;
  if (kinds.causal && j > i) return false;
  if (kinds.padding && static_cast<double>(j) >= run.in(next++)[b]) return false;
  if (!kinds.custom) return true;
  const Shape& shape = run.ins[next].shape;  // [B or 1, heads or 1, S, S]
  const std::size_t S = static_cast<std::size_t>(shape[3]), of_b = shape[0] == 1 ? 0 : b,
                    of_head = shape[1] == 1 ? 0 : head;
  return run.in(next)[((of_b * static_cast<std::size_t>(shape[1]) + of_head) * S + i) * S + j] != 0;
}

struct Weights {
  std::vector<double> p;  // by key; all 0 where none is seen
  double log_of_sum = -INFINITY;
};
Weights weights_of(NaiveRun& run, const Heads& heads, std::size_t first, std::size_t masks, std::size_t b,
                   std::size_t head, std::size_t i) {
  std::vector<double> scores(heads.sequence, -INFINITY);
  double most = -INFINITY, sum = 0;
  for (std::size_t j = 0; j < heads.sequence; ++j) {
    if (!sees(run, masks, b, head, i, j)) continue;
    double product = 0;
    for (std::size_t d = 0; d < heads.D; ++d)
      product += run.in(first)[heads.q(b, i, head, d)] * run.in(first + 1)[heads.kv(b, j, head, d)];
    scores[j] = run.attributes().scale * product;
    most = std::max(most, scores[j]);
  }
  Weights weights{std::vector<double>(heads.sequence, 0.0)};
  if (most == -INFINITY) return weights;
  for (const double score : scores) sum += std::exp(score - most);
  for (std::size_t j = 0; j < heads.sequence; ++j) weights.p[j] = std::exp(scores[j] - most) / sum;
  weights.log_of_sum = most + std::log(sum);
  return weights;
}

// out   o [B, S, heads D], and what each row leaves: f(row, its weights)
template <class F>
void attend(NaiveRun& run, F f) {
  const Heads heads(run, 0);
  heads.for_each_row([&](std::size_t b, std::size_t head, std::size_t i) {
    const Weights weights = weights_of(run, heads, 0, 3, b, head, i);
    for (std::size_t d = 0; d < heads.D; ++d)
      for (std::size_t j = 0; j < heads.sequence; ++j)
        run.out(0)[heads.q(b, i, head, d)] += weights.p[j] * run.in(2)[heads.kv(b, j, head, d)];
    f(heads.row(b, head, i), weights);
  });
}
void attention(NaiveRun& run) {
  attend(run, [&](std::size_t row, const Weights& weights) { run.out(1)[row] = weights.log_of_sum; });
}
void materialised_attention(NaiveRun& run) {
  attend(run, [&](std::size_t row, const Weights& weights) {
    for (std::size_t kept = 1; kept < run.outs.size(); ++kept)  // p, and p in the operands' type
      std::copy(weights.p.begin(), weights.p.end(),
                run.out(kept).begin() + static_cast<std::ptrdiff_t>(row * weights.p.size()));
  });
}

// Where an element of a gathered operand lies in the packed value that it views.
std::size_t packed(const View& view, std::size_t place) {
  std::int64_t rest = static_cast<std::int64_t>(place), index = view.offset;
  for (int axis = view.shape.rank() - 1; axis >= 0; --axis) {
    index += rest % view.shape[axis] * view.strides[static_cast<std::size_t>(axis)];
    rest /= view.shape[axis];
  }
  return static_cast<std::size_t>(index);
}

// in   do, q, k, v ...     of o = sum p v and p = softmax(scale q k):
//     dv = p do     dp = do v     ds = p (dp - sum of p dp)     dq = scale ds k     dk = scale ds q
// p_of(b, head, i): the weights of a row. f(row, ds, sum of p dp).
template <class P, class F>
void attend_backward(NaiveRun& run, P p_of, F f) {
  const Heads heads(run, 1);
  const double scale = run.attributes().scale;
  const auto gradient_of = [&](std::size_t in, std::size_t place) -> double& {
    return run.out(0).at(packed(run.operation->ins[in].view, place));
  };
  heads.for_each_row([&](std::size_t b, std::size_t head, std::size_t i) {
    const std::vector<double> p = p_of(heads, b, head, i);
    std::vector<double> ds(heads.sequence, 0.0);
    double sum = 0;
    for (std::size_t j = 0; j < heads.sequence; ++j) {
      for (std::size_t d = 0; d < heads.D; ++d) {
        const double dout = run.in(0)[heads.q(b, i, head, d)];
        ds[j] += dout * run.in(3)[heads.kv(b, j, head, d)];
        gradient_of(3, heads.kv(b, j, head, d)) += p[j] * dout;
      }
      sum += p[j] * ds[j];
    }
    for (std::size_t j = 0; j < heads.sequence; ++j) {
      ds[j] = p[j] * (ds[j] - sum);
      for (std::size_t d = 0; d < heads.D; ++d) {
        gradient_of(1, heads.q(b, i, head, d)) += scale * ds[j] * run.in(2)[heads.kv(b, j, head, d)];
        gradient_of(2, heads.kv(b, j, head, d)) += scale * ds[j] * run.in(1)[heads.q(b, i, head, d)];
      }
    }
    f(heads.row(b, head, i), ds, sum);
  });
}

// in   do, q, k, v, o, lse, lengths?, mask?     out   dqkv, delta     delta, the sum of do o, is the sum of p dp;
// weights anew from q and k
void attention_gradient(NaiveRun& run) {
  attend_backward(
      run,
      [&](const Heads& heads, std::size_t b, std::size_t head, std::size_t i) {
        return weights_of(run, heads, 1, 6, b, head, i).p;
      },
      [&](std::size_t row, const std::vector<double>&, double sum) { run.out(1)[row] = sum; });
}

// in   do, q, k, v, p, p in the operands' type?     out   dqkv, ds
void materialised_attention_gradient(NaiveRun& run) {
  attend_backward(
      run,
      [&](const Heads& heads, std::size_t b, std::size_t head, std::size_t i) {
        const auto first = run.in(4).begin() + static_cast<std::ptrdiff_t>(heads.row(b, head, i) * heads.sequence);
        return std::vector<double>(first, first + static_cast<std::ptrdiff_t>(heads.sequence));
      },
      [&](std::size_t row, const std::vector<double>& ds, double) {
        std::copy(ds.begin(), ds.end(), run.out(1).begin() + static_cast<std::ptrdiff_t>(row * ds.size()));
      });
}

// Su et al. 2021, equation 34, of the pair i of D/2. Llama 3.1: a wavelength longer than original / low is stretched by `factor`, one
// shorter than original / high is left, and between them the share goes with original / wavelength.
double angle_of(const NaiveRun& run, double position, std::size_t pair) {
  const RotaryScale& scale = run.attributes().rotary;
  const double D = run.attributes().head_dim, frequency = std::pow(scale.theta, -2 * static_cast<double>(pair) / D);
  if (scale.original == 0) return position * frequency;
  const double turns = static_cast<double>(scale.original) / (2 * std::numbers::pi / frequency);
  const double left = std::clamp((turns - scale.low) / (scale.high - scale.low), 0.0, 1.0);
  return position * (left * frequency + (1 - left) * frequency / scale.factor);
}

// in   qkv [B, S, groups (queries + 2) D]: by group its queries, its key, its value     A rotation's gradient is the rotation back.
void turn(NaiveRun& run, double direction) {
  const NaiveMatrix x = matrix_of(run.ins[0]), y = matrix_of(run.outs[0]);
  const auto D = static_cast<std::size_t>(run.attributes().head_dim),
             heads = static_cast<std::size_t>(run.attributes().heads);
  const std::size_t sequence = static_cast<std::size_t>(run.ins[0].shape[1]), all = x.columns / D,
                    groups = (all - heads) / 2, of_group = all / groups;
  run.out(0) = run.in(0);
  for (std::size_t t = 0; t < x.rows; ++t)
    for (std::size_t head = 0; head < all; ++head)
      for (std::size_t i = 0; i < D / 2 && head % of_group != of_group - 1; ++i) {
        const double angle = direction * angle_of(run, static_cast<double>(t % sequence), i);
        const double first = x(t, head * D + i), second = x(t, head * D + i + D / 2);
        y(t, head * D + i) = first * std::cos(angle) - second * std::sin(angle);
        y(t, head * D + i + D / 2) = second * std::cos(angle) + first * std::sin(angle);
      }
}
void rotary(NaiveRun& run) { turn(run, 1); }
void rotary_gradient(NaiveRun& run) { turn(run, -1); }

}  // namespace

std::span<const NaiveRow> naive_heads() {
  static const NaiveRow rows[] = {{"attention", attention},
                                  {"attention_gradient", attention_gradient},
                                  {"materialised_attention", materialised_attention},
                                  {"materialised_attention_gradient", materialised_attention_gradient},
                                  {"rotary", rotary},
                                  {"rotary_gradient", rotary_gradient}};
  return rows;
}

}  // namespace stepscope::testing
