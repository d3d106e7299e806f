// Attention and its gradient by loops in double over queries and keys, with what each number may be off by where a machine
// rounds.
//     PlainAttention plain{.batch = 2, .sequence = 5, .heads = 4, .kv_heads = 2, .width = 64, .scale = 0.125};
//     plain.operands = DType::bf16;  plain.qkv = ...;  plain.dout = ...;  plain.hidden = [](b, head, i, j) { return j > i; };
//     plain.run();                                         // -> o, lse, p, dqkv, delta: value and bound
// The bounds follow from the formats alone: a rounding to a type is off by half a unit in the last place at most. Sums and
// statistics are fp32, in any order: n terms are off by n 2^-24 of the sum of their magnitudes at most. Rounded are: weights
// and score gradients before they are multiplied, results, and, where queries are scaled first, scaled queries and gradients
// before they are scaled back. Shares nothing with model/operations: it knows the packed layout (packed_heads.h) and the
// definition.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/base/dtype.h"

namespace stepscope::testing {

struct Bounded {
  double value = 0, bound = 0;
};

struct PlainAttention {
  std::int64_t batch = 1, sequence = 1, heads = 1, kv_heads = 1, width = 1;
  double scale = 1;
  DType operands = DType::bf16, probabilities = DType::fp32;  // weights are rounded to the latter, then to the former
  bool scales_queries = false;  // before they meet keys
  bool rounds_heads = false;  // what each query's head adds to dk and dv, before it is added
  std::vector<double> qkv = {}, dout = {};
  std::function<bool(std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j)> hidden = {};
  std::vector<Bounded> o = {}, lse = {}, p = {}, dqkv = {}, delta = {};

  void run();
};

}  // namespace stepscope::testing
