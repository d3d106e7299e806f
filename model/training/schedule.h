// The learning rate of each step. Steps are applied updates, counted from 0: after a skipped one the rate is what it was.
//     const Schedule schedule = schedule_named("seed", 4e-4, 10, 100);
//     learning_rate_at(schedule, 0);   // 0: the seed's first update changes nothing
// L learning_rate, w warmup_steps, n steps:
//     seed      L t / w before w, then L 0.99^(t - w)                    the tutorial's: 4e-4, 10
//     cosine    L (t + 1) / w before w, then down half a cosine to L / 10 in step n - 1, and L / 10 beyond; n = 0: no end, L
//     constant  L, without a warm-up
// Source: seed, UvA deep learning tutorial "Single-GPU transformer"; cosine, Loshchilov and Hutter 2017, arXiv:1608.03983.
#pragma once

#include <cstdint>
#include <string_view>

namespace stepscope {

struct Schedule {
  enum class Kind : std::uint8_t { seed, cosine, constant };
  Kind kind = Kind::constant;
  double learning_rate = 0;
  std::int64_t warmup_steps = 0;
  std::int64_t steps = 0;
};

// Throws UsageError: an unknown name, a learning rate that is negative or no number, negative counts of steps.
[[nodiscard]] Schedule schedule_named(std::string_view name, double learning_rate, std::int64_t warmup_steps,
                                      std::int64_t steps);

[[nodiscard]] double learning_rate_at(const Schedule& schedule, std::int64_t step);

}  // namespace stepscope
