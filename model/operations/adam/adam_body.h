// adam: one update of every parameter, with running means of its gradient and of the gradient's square.
//     g' = clip_factor g     m = beta1 m + (1 - beta1) g'     v = beta2 v + (1 - beta2) g'^2
//     p = p - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay p)
// in   g [n] any float     writes   p, m, v [n] fp32, each from what it held (of states in host memory: in another place)
// t = updates applied so far + 1; weight decay is decoupled from the gradient
// The two corrections are the same for all elements: made once a step in fp64 and folded into a rate and a factor, so an element
// costs one square root and one division. All parameters in one operation, cut into ranges of 16,384.
// Bound by bytes: 28 a parameter (g, p, m, v in; p, m, v out).
// Source: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1 and the end of section 2; weight decay: Loshchilov and Hutter 2019,
// arXiv:1711.05101, algorithm 2, with the schedule multiplying both terms.
#pragma once

#include <cmath>
#include <cstdint>

#include "model/base/body.h"
#include "model/base/half.h"
#include "model/base/math.h"
#include "model/program/control_block.h"

namespace stepscope {

template <class A>
struct AdamStep {  // what is the same for every element of a step
  A clip_factor;
  A beta1, beta2;
  A one_minus_beta1, one_minus_beta2;  // rounded from fp64: 1 - 0.999 in fp32 has an error of 1e-5
  A corrected_rate;  // rate / (1 - beta1^t)
  A root_correction;  // 1 / sqrt(1 - beta2^t)
  A epsilon;
  A decay;  // rate weight_decay
};

struct AdamSettings {
  double beta1, beta2, epsilon, weight_decay;
};

template <class A>
STEPSCOPE_BODY AdamStep<A> adam_step_of(const AdamSettings& settings, const ControlBlock& control) {
  const auto t = static_cast<double>(control.updates() + 1);
  const double rate = control.learning_rate;
  return {.clip_factor = static_cast<A>(control.clip_factor),
          .beta1 = static_cast<A>(settings.beta1),
          .beta2 = static_cast<A>(settings.beta2),
          .one_minus_beta1 = static_cast<A>(1 - settings.beta1),
          .one_minus_beta2 = static_cast<A>(1 - settings.beta2),
          .corrected_rate = static_cast<A>(rate / (1 - std::pow(settings.beta1, t))),
          .root_correction = static_cast<A>(1 / std::sqrt(1 - std::pow(settings.beta2, t))),
          .epsilon = static_cast<A>(settings.epsilon),
          .decay = static_cast<A>(rate * settings.weight_decay)};
}

template <class A>
struct AdamStates {  // of a range: where parameter and moments go, and where they were, mostly the same place
  A *p, *m, *v;
  const A *p_before, *m_before, *v_before;
  [[nodiscard]] STEPSCOPE_BODY AdamStates from(std::int64_t at) const {
    return {p + at, m + at, v + at, p_before + at, m_before + at, v_before + at};
  }
};

// Brings states that change places to where they go; all that is left to do in a step that is skipped.
template <class Team, class A>
STEPSCOPE_BODY void adam_take_over(const Team& team, const AdamStates<A> s, std::int64_t n) {
  const auto take = [&](A* to, const A* from) {
    if (to != from) team.for_each(n, [=](std::int64_t i) { to[i] = from[i]; });
  };
  take(s.p, s.p_before);
  take(s.m, s.m_before);
  take(s.v, s.v_before);
}

template <class Team, class G, class A>
STEPSCOPE_BODY void adam_range(const Team& team, const AdamStep<A> step, const G* gradient, A* p, A* m, A* v,
                               std::int64_t n) {
  team.for_each(n, [=](std::int64_t i) {
    const A g = load(gradient[i]) * step.clip_factor;
    const A mean = step.beta1 * m[i] + step.one_minus_beta1 * g;
    const A square = step.beta2 * v[i] + step.one_minus_beta2 * (g * g);
    m[i] = mean;
    v[i] = square;
    p[i] -= step.corrected_rate * (mean / (sqrt_of(square) * step.root_correction + step.epsilon)) + step.decay * p[i];
  });
}

}  // namespace stepscope
