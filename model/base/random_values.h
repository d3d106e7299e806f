// Normal numbers for the first weights of a model: each is a function of (seed, name of the tensor, index of the element) alone, so a
// tensor begins alike in every program, order of creation and number of threads.
//     fill_normal(values, 0.02, seed, "positions");
//     fill_truncated_normal(values, 1 / std::sqrt(fan_in), seed, "blocks.0.mlp.up.weight");   // lecun-normal
// `deviation` is the standard deviation of what comes out. Truncated: at two deviations of the normal before truncation, as JAX's
// variance_scaling does; its deviation is corrected for the loss of the tails (by 1 / 0.8796).
// A value is the inverse of the normal distribution function at 32 random bits; relative error below 1e-6, largest magnitude 6.3 deviations.
// Source: M. Giles 2011, "Approximating the erfinv function", GPU Computing Gems Jade, chapter 10.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace stepscope {

// `values` may be a part of the tensor: its first element then has the index `first`.
void fill_normal(std::span<float> values, double deviation, std::uint64_t seed, std::string_view name,
                 std::int64_t first = 0);
void fill_truncated_normal(std::span<float> values, double deviation, std::uint64_t seed, std::string_view name,
                           std::int64_t first = 0);

}  // namespace stepscope
