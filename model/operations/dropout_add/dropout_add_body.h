// dropout_add: drops elements of a branch at random, scales the kept ones up, adds the residual stream.
//     y = residual + kept branch / (1 - rate)          kept(token, h) = word(token, h) >= rate 2^32
// in   branch, residual [N, H] any float     out   y [N, H] as residual; may lie over either     N = b S tokens of a micro-step
// The mask is never stored. word is one of four that Philox makes of key (seed, site) and counter (step, token, h / 4), where token
// counts through the whole step: backward and a recompute draw it again, and any split into micro-steps sees the same mask.
// A pack of words is made first, then used: both loops vectorise, while four words a counter inside one loop do not (4 times slower).
// Backward:  dbranch = kept dy / (1 - rate), may lie over dy; the residual's gradient is dy itself.
// Bound by the generator on a CPU (about 0.6 ns an element and core), by bytes on a card: 3 elements forward, 2 backward.
// Source: Srivastava et al. 2014, JMLR 15:1929, with inverted scaling; generator in model/base/philox.h.
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/philox.h"

namespace stepscope {

struct DropoutStream {  // which random numbers
  std::uint64_t seed;
  std::uint32_t site, step;
  std::uint32_t threshold;  // words below are dropped
};

// use(i, kept) for every feature i of a token, or of its part that begins with feature `begin`, a multiple of 4.
template <class Team, class Use>
STEPSCOPE_BODY void for_each_kept(const Team& team, const DropoutStream& stream, std::uint32_t token,
                                  std::int64_t features, std::int64_t begin, Use use) {
  if (stream.threshold == 0) {
    team.for_each(features, [=](std::int64_t i) { use(i, true); });
    return;
  }
  constexpr int pack = Team::random_pack;
  team.template for_each_pack<pack>(features, [=](std::int64_t first, auto count) {
    std::uint32_t words[pack];
    for (int k = 0; k < pack / 4; ++k) {
      const Words4 four = dropout_bits(stream.seed, stream.site, stream.step, token,
                                       static_cast<std::uint32_t>((begin + first) / 4 + k));
      for (int j = 0; j < 4; ++j) words[4 * k + j] = four.word[j];
    }
    team.for_each_of_pack(count, [=, &words](int j) { use(first + j, words[j] >= stream.threshold); });
  });
}

template <class Team, class T, class R>
STEPSCOPE_BODY void dropout_add_row(const Team& team, const DropoutStream& stream, std::uint32_t token,
                                    Accumulator<T> kept_scale, const T* branch, const R* residual, R* y,
                                    std::int64_t features, std::int64_t begin = 0) {
  using A = Accumulator<T>;
  for_each_kept(team, stream, token, features, begin, [=](std::int64_t i, bool kept) {
    const A scaled = load(branch[i]) * kept_scale;
    y[i] = store<R>(load(residual[i]) + (kept ? scaled : A(0)));
  });
}

template <class Team, class R, class T>
STEPSCOPE_BODY void dropout_gradient_row(const Team& team, const DropoutStream& stream, std::uint32_t token,
                                         Accumulator<T> kept_scale, const R* dy, T* dbranch, std::int64_t features,
                                         std::int64_t begin = 0) {
  using A = Accumulator<T>;
  for_each_kept(team, stream, token, features, begin, [=](std::int64_t i, bool kept) {
    const A scaled = load(dy[i]) * kept_scale;
    dbranch[i] = store<T>(kept ? scaled : A(0));
  });
}

}  // namespace stepscope
