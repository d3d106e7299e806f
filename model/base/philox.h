// Random numbers without state: Philox4x32-10 maps (key, counter) to four words, so the mask of an element depends on which element it
// is and never on who computes it, when, or in how many micro-steps.
//     const Words4 r = dropout_bits(seed, site, step, token, feature / 4);   // r.word[feature % 4] belongs to this feature
//     const bool kept = r.word[feature % 4] >= drop_threshold(0.1);
// Source: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4.3; constants of Random123.
#pragma once

#include <cstdint>

#include "model/base/body.h"

namespace stepscope {

struct Words4 {
  std::uint32_t word[4];
};

STEPSCOPE_INLINE constexpr Words4 philox(std::uint32_t key_0, std::uint32_t key_1, Words4 counter) {
  // Words ride in 64-bit lanes: vector code then needs no widening, which made a loop over counters 1.7 times slower.
  std::uint64_t c0 = counter.word[0], c1 = counter.word[1], c2 = counter.word[2], c3 = counter.word[3];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = 0xD2511F53u * (c0 & 0xffffffffu), product_1 = 0xCD9E8D57u * (c2 & 0xffffffffu);
    c0 = (product_1 >> 32) ^ c1 ^ key_0;
    c1 = product_1;
    c2 = (product_0 >> 32) ^ c3 ^ key_1;
    c3 = product_0;
    key_0 += 0x9E3779B9u;  // golden ratio
    key_1 += 0xBB67AE85u;  // sqrt(3) - 1
  }
  return {{static_cast<std::uint32_t>(c0), static_cast<std::uint32_t>(c1), static_cast<std::uint32_t>(c2),
           static_cast<std::uint32_t>(c3)}};
}

// The four words of features 4 k .. 4 k + 3 of one token. Key: seed and random site (one per dropout of the model). Counter: step, token
// and block of features. `token` counts through the whole step (row x sequence + position), whatever the micro-batches are.
STEPSCOPE_INLINE constexpr Words4 dropout_bits(std::uint64_t seed, std::uint32_t site, std::uint32_t step,
                                               std::uint32_t token, std::uint32_t block) {
  return philox(static_cast<std::uint32_t>(seed), site, {{block, token, step, static_cast<std::uint32_t>(seed >> 32)}});
}

// A feature is dropped when its word is below this: rate in [0, 1), exact to 2^-32.
STEPSCOPE_INLINE constexpr std::uint32_t drop_threshold(double rate) {
  return static_cast<std::uint32_t>(rate * 4294967296.0);
}

// [0, 1) in steps of 2^-24, so that a float holds it without rounding up to 1.
STEPSCOPE_INLINE constexpr float uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace stepscope
