// Attention and its gradient by loops in double over queries and keys, with what each number may be off by where a machine rounds.
//     PlainAttention plain{.batch = 2, .sequence = 5, .heads = 4, .kv_heads = 2, .width = 64, .scale = 0.125, .unit = 0x1p-8};
//     plain.qkv = ...;  plain.dout = ...;  plain.hidden = [](b, head, i, j) { return j > i; };
//     plain.run();                                         // -> o, lse, dqkv, delta: value and bound
// The bounds follow from the formats alone. unit: the greatest relative error of one rounding to the operands' type; tiny: the greatest
// absolute one, of subnormal numbers. Sums and statistics are fp32, in any order: n terms are off by n 2^-24 of the sum of their
// magnitudes at most. Rounded are: weights and score gradients before they are multiplied, and results.
// Shares nothing with model/operations: it knows the packed layout (packed_heads.h) and the definition.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

namespace stepscope::testing {

struct Bounded {
  double value = 0, bound = 0;
};

struct PlainAttention {
  std::int64_t batch = 1, sequence = 1, heads = 1, kv_heads = 1, width = 1;
  double scale = 1, unit = 0, tiny = 0;
  int roundings = 1;  // of a weight before it is multiplied
  std::vector<double> qkv = {}, dout = {};
  std::function<bool(std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j)> hidden = {};
  std::vector<Bounded> o = {}, lse = {}, dqkv = {}, delta = {};

  void run();

 private:
  // Of the query of a head, or of the key (1) or value (2) that it looks at.
  [[nodiscard]] std::size_t packed(std::int64_t b, std::int64_t s, std::int64_t head, int part, std::int64_t d) const {
    const std::int64_t queries = heads / kv_heads, inside = part == 0 ? head % queries : queries + part - 1;
    return static_cast<std::size_t>(((b * sequence + s) * kv_heads + head / queries) * (queries + 2) * width +
                                    inside * width + d);
  }
  [[nodiscard]] std::size_t out(std::int64_t b, std::int64_t s, std::int64_t head, std::int64_t d) const {
    return static_cast<std::size_t>(((b * sequence + s) * heads + head) * width + d);
  }
  void run_row(std::int64_t b, std::int64_t head, std::int64_t i);
  void add(std::size_t to, double term, double off) {
    dqkv[to].value += term;
    dqkv[to].bound += off + fp32 * static_cast<double>(heads * sequence) * std::fabs(term);
  }
  static constexpr double fp32 = 0x1p-24;
};

}  // namespace stepscope::testing
