// The loss, and what a step does with its gradients.
#include <algorithm>
#include <cmath>

#include "tests/support/naive/naive_operations.h"

namespace stepscope::testing {

namespace {

void count_tokens(NaiveRun& run) {
  run.control.token_count = 0;
  for (const double target : run.in(0)) run.control.token_count += target >= 0 ? 1 : 0;
  run.control.loss_sum = 0;
}

// in   logits [N, V], targets [N]     out   loss [1], dlogits     d/dx of log(sum of e^x) - x[target]: softmax(x), less 1 at the target
void cross_entropy(NaiveRun& run) {
  const NaiveMatrix logits = matrix_of(run.ins[0]), dlogits = matrix_of(run.outs[1]);
  const double count = run.control.token_count;
  double losses = 0;
  for (std::size_t n = 0; n < logits.rows; ++n) {
    if (run.in(1)[n] < 0) continue;
    const auto target = static_cast<std::size_t>(run.in(1)[n]);
    double most = logits(n, 0),
           sum = 0;  // softmax of x and of x - most are one, and no exponential of the latter overflows
    for (std::size_t v = 1; v < logits.columns; ++v) most = std::max(most, logits(n, v));
    for (std::size_t v = 0; v < logits.columns; ++v) sum += std::exp(logits(n, v) - most);
    losses += std::log(sum) + most - logits(n, target);
    for (std::size_t v = 0; v < logits.columns; ++v)
      dlogits(n, v) = (std::exp(logits(n, v) - most) / sum - (v == target ? 1 : 0)) * run.control.loss_scale / count;
  }
  run.control.loss_sum += losses;
  run.out(0)[0] = losses == 0 ? 0 : losses / count;
}

// Pascanu, Mikolov, Bengio 2013: all gradients are one vector.
void clip(NaiveRun& run, double squares) {
  const double norm = std::sqrt(squares), most = run.attributes().clip;
  run.control.gradient_norm = norm;
  run.control.clip_factor = most > 0 && norm > most ? most / norm : 1;
}

// in   control, gradients
void gradient_norm(NaiveRun& run) {
  double squares = 0;
  for (std::size_t i = 1; i < run.ins.size(); ++i)
    for (const double g : run.in(i)) squares += g * g;
  clip(run, squares);
}

// writes   results, gradients
void unscale_gradients(NaiveRun& run) {
  double squares = 0;
  bool all_finite = true;
  for (std::size_t w = 1; w < run.writes.size(); ++w)
    for (double& g : run.writes[w].numbers) {
      g /= run.control.loss_scale;
      squares += g * g;
      all_finite = all_finite && std::isfinite(g);
    }
  clip(run, squares);
  run.control.found_inf = all_finite ? 0 : 1;
}

// Micikevicius et al. 2018: half after an overflow, twice after so many clean steps; from 1 to 2^64.
void update_loss_scale(NaiveRun& run) {
  ControlBlock& control = run.control;
  if (control.found_inf != 0) {
    ++control.skips;
    control.clean_steps = 0;
    control.loss_scale = std::fmax(1, control.loss_scale / 2);
  } else if (++control.clean_steps >= run.attributes().growth_interval) {
    control.clean_steps = 0;
    control.loss_scale = std::fmin(std::ldexp(1, 64), control.loss_scale * 2);
  }
}

// in   control, gradients, results     writes   p, m, v of each     Kingma, Ba 2014, algorithm 1; decay: Loshchilov, Hutter 2017
void adam(NaiveRun& run) {
  const Attributes& a = run.attributes();
  if (a.skips_overflow && run.control.found_inf != 0) return;
  const auto t = static_cast<double>(run.control.step - run.control.skips + 1);
  for (std::size_t tensor = 0; tensor < run.writes.size() / 3; ++tensor) {
    std::vector<double>&p = run.writes[3 * tensor].numbers, &m = run.writes[3 * tensor + 1].numbers,
    &v = run.writes[3 * tensor + 2].numbers;
    for (std::size_t i = 0; i < p.size(); ++i) {
      const double g = run.in(tensor + 1)[i] * run.control.clip_factor;
      m[i] = a.beta1 * m[i] + (1 - a.beta1) * g;
      v[i] = a.beta2 * v[i] + (1 - a.beta2) * g * g;
      const double mean = m[i] / (1 - std::pow(a.beta1, t)), square = v[i] / (1 - std::pow(a.beta2, t));
      p[i] -= run.control.learning_rate * (mean / (std::sqrt(square) + a.epsilon) + a.weight_decay * p[i]);
    }
  }
}

}  // namespace

std::span<const NaiveRow> naive_training() {
  static const NaiveRow rows[] = {{"count_tokens", count_tokens},           {"cross_entropy", cross_entropy},
                                  {"gradient_norm", gradient_norm},         {"unscale_gradients", unscale_gradients},
                                  {"update_loss_scale", update_loss_scale}, {"adam", adam}};
  return rows;
}

}  // namespace stepscope::testing
