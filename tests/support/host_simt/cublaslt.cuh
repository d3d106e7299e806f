// How the stand-in for cuBLASLt behaves. It offers several algorithms for each matmul, whose words nobody else can read. They add in
// different orders, so that their results differ by rounding: whoever takes another one than before is seen.
//     matmul_options().refused = 1u << in_order;        // what the check of an algorithm refuses
//     matmul_options().nanoseconds[backwards] = 1e9;    // what events then see it take, beside the loops
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace stepscope::host_simt {

// In the order of the heuristic's answers, after one that says of itself that it cannot be used.
enum MatmulWay : int { in_order, hopeful, backwards, split, too_large, matmul_ways };
inline constexpr int split_parts = 4;

struct MatmulOptions {
  std::uint32_t refused = 1u << hopeful;  // by the check, although the heuristic offered them: bits of MatmulWay
  std::uint32_t refused_when_issued = 0;
  bool has_gelu = true;  // else the heuristic has no answer for GELU and its gradient
  std::array<double, matmul_ways> nanoseconds = {};
};
[[nodiscard]] MatmulOptions& matmul_options();
[[nodiscard]] std::array<int, matmul_ways>& matmuls_run();  // so far, by the way that they took

}  // namespace stepscope::host_simt
