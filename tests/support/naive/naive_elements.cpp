// Operations that know one element at a time, rows that are looked up by token, and products of matrices.
#include <cmath>
#include <numbers>

#include "tests/support/naive/naive_operations.h"

namespace stepscope::testing {

namespace {

void add(NaiveRun& run) {
  for (std::size_t i = 0; i < run.out(0).size(); ++i) run.out(0)[i] = run.in(0)[i] + run.in(1)[i];
}

// in   piece, so_far?
void add_rows(NaiveRun& run) {
  if (run.ins.size() > 1) run.out(0) = run.in(1);
  const auto first = static_cast<std::size_t>(run.attributes().first_row * run.ins[0].shape.last());
  for (std::size_t i = 0; i < run.in(0).size(); ++i) run.out(0).at(first + i) += run.in(0)[i];
}

void cast(NaiveRun& run) { run.writes[0].numbers = run.in(0); }

// Hendrycks, Gimpel 2016: u/2 (1 + tanh(c (u + 0.044715 u^3))), c = sqrt(2/pi).
double gelu_inner(double u) { return std::sqrt(2 / std::numbers::pi) * (u + 0.044715 * u * u * u); }
double gelu_of(double u) { return u / 2 * (1 + std::tanh(gelu_inner(u))); }
double gelu_slope(double u) {  // d/du of the product: (1 + tanh z) / 2 + u/2 (1 - tanh^2 z) dz/du
  const double t = std::tanh(gelu_inner(u)), inner_slope = std::sqrt(2 / std::numbers::pi) * (1 + 3 * 0.044715 * u * u);
  return (1 + t) / 2 + u / 2 * (1 - t * t) * inner_slope;
}
void gelu(NaiveRun& run) {
  for (std::size_t i = 0; i < run.out(0).size(); ++i) run.out(0)[i] = gelu_of(run.in(0)[i]);
}

// in   dg, u
void gelu_gradient(NaiveRun& run) {
  for (std::size_t i = 0; i < run.out(0).size(); ++i) run.out(0)[i] = run.in(0)[i] * gelu_slope(run.in(1)[i]);
}

// Shazeer 2020: z s(z) up, s(z) = 1 / (1 + e^-z).
void swiglu(NaiveRun& run) {
  for (std::size_t i = 0; i < run.out(0).size(); ++i)
    run.out(0)[i] = run.in(0)[i] / (1 + std::exp(-run.in(0)[i])) * run.in(1)[i];
}

// in   dg, gate, up     (z s)' = s + z s (1 - s)
void swiglu_gradient(NaiveRun& run) {
  for (std::size_t i = 0; i < run.out(0).size(); ++i) {
    const double z = run.in(1)[i], s = 1 / (1 + std::exp(-z));
    run.out(0)[i] = run.in(0)[i] * run.in(2)[i] * (s + z * s * (1 - s));
    run.out(1)[i] = run.in(0)[i] * z * s;
  }
}

// Philox4x32-10 of Salmon et al. 2011: ten times, two products of 32 by 32 bits; a high half meets a word and a key by xor.
struct Counter {
  std::uint32_t word[4];
};
Counter philox(Counter c, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{c.word[0]} * 0xD2511F53, b = std::uint64_t{c.word[2]} * 0xCD9E8D57;
    c = {{static_cast<std::uint32_t>(b >> 32) ^ c.word[1] ^ k0, static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(a >> 32) ^ c.word[3] ^ k1, static_cast<std::uint32_t>(a)}};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// What a feature of a token is multiplied by: 0, or 1 / (1 - rate). Tokens count through the whole step.
double keep_factor(const NaiveRun& run, std::size_t token, std::size_t feature, std::size_t tokens_a_micro_step) {
  const ControlBlock& control = run.control;
  const std::uint64_t whole_token = static_cast<std::uint64_t>(control.micro_step) * tokens_a_micro_step + token;
  const Counter drawn =
      philox({{static_cast<std::uint32_t>(feature / 4), static_cast<std::uint32_t>(whole_token),
               static_cast<std::uint32_t>(control.step), static_cast<std::uint32_t>(control.seed >> 32)}},
             static_cast<std::uint32_t>(control.seed), static_cast<std::uint32_t>(run.attributes().random_site));
  const double rate = run.attributes().rate;
  return drawn.word[feature % 4] < std::floor(std::ldexp(rate, 32)) ? 0 : 1 / (1 - rate);
}

// in   branch, residual
void dropout_add(NaiveRun& run) {
  const NaiveMatrix branch = matrix_of(run.ins[0]), residual = matrix_of(run.ins[1]), y = matrix_of(run.outs[0]);
  for (std::size_t t = 0; t < y.rows; ++t)
    for (std::size_t f = 0; f < y.columns; ++f)
      y(t, f) = residual(t, f) + branch(t, f) * keep_factor(run, t, f, y.rows);
}

void dropout_gradient(NaiveRun& run) {
  const NaiveMatrix dy = matrix_of(run.ins[0]), dbranch = matrix_of(run.outs[0]);
  for (std::size_t t = 0; t < dy.rows; ++t)
    for (std::size_t f = 0; f < dy.columns; ++f) dbranch(t, f) = dy(t, f) * keep_factor(run, t, f, dy.rows);
}

// in   tokens [B, S], table [V, H], positions? [S, H]
void embedding(NaiveRun& run) {
  const NaiveMatrix x = matrix_of(run.outs[0]), table = matrix_of(run.ins[1]);
  const auto sequence = static_cast<std::size_t>(run.ins[0].shape[1]);
  for (std::size_t place = 0; place < x.rows; ++place)
    for (std::size_t f = 0; f < x.columns; ++f) {
      x(place, f) = table(static_cast<std::size_t>(run.in(0)[place]), f);
      if (run.ins.size() > 2) x(place, f) += matrix_of(run.ins[2])(place % sequence, f);
    }
}

// in   dx, tokens     writes   dtable, dpositions?
void embedding_gradient(NaiveRun& run) {
  const NaiveMatrix dx = matrix_of(run.ins[0]);
  const auto sequence = static_cast<std::size_t>(run.ins[1].shape[1]);
  for (std::size_t w = 0; w < run.writes.size(); ++w) {
    std::vector<double> gradient(run.writes[w].numbers.size(), 0.0);
    for (std::size_t place = 0; place < dx.rows; ++place) {
      const std::size_t row = w == 0 ? static_cast<std::size_t>(run.in(1)[place]) : place % sequence;
      for (std::size_t f = 0; f < dx.columns; ++f) gradient.at(row * dx.columns + f) += dx(place, f);
    }
    run.join(w, gradient);
  }
}

// in   x [N, I], weight [I, O], bias? [O]
void linear(NaiveRun& run) {
  const NaiveMatrix x = matrix_of(run.ins[0]), weight = matrix_of(run.ins[1]), y = matrix_of(run.outs[0]);
  for (std::size_t n = 0; n < y.rows; ++n)
    for (std::size_t o = 0; o < y.columns; ++o) {
      double sum = run.ins.size() > 2 ? run.in(2)[o] : 0;
      for (std::size_t i = 0; i < x.columns; ++i) sum += x(n, i) * weight(i, o);
      y(n, o) = sum;
    }
}

// in   x [N, I], dy [N, O]     writes   dweight [I, O], or [O, I] where it is stored so, dbias? [O]
void linear_weight_gradient(NaiveRun& run) {
  const NaiveMatrix x = matrix_of(run.ins[0]), dy = matrix_of(run.ins[1]);
  std::vector<double> dweight(x.columns * dy.columns, 0.0), dbias(dy.columns, 0.0);
  for (std::size_t n = 0; n < dy.rows; ++n)
    for (std::size_t o = 0; o < dy.columns; ++o) {
      dbias[o] += dy(n, o);
      for (std::size_t i = 0; i < x.columns; ++i)
        dweight[run.attributes().transposed_weight ? o * x.columns + i : i * dy.columns + o] += x(n, i) * dy(n, o);
    }
  run.join(0, dweight);
  if (run.writes.size() > 1) run.join(1, dbias);
}

// in   dy [N, O], weight [I, O]
void linear_input_gradient(NaiveRun& run) {
  const NaiveMatrix dy = matrix_of(run.ins[0]), weight = matrix_of(run.ins[1]), dx = matrix_of(run.outs[0]);
  for (std::size_t n = 0; n < dx.rows; ++n)
    for (std::size_t i = 0; i < dx.columns; ++i)
      for (std::size_t o = 0; o < dy.columns; ++o) dx(n, i) += dy(n, o) * weight(i, o);
}

// in   x [N, I], weight [I, O], bias [O]     out   u, g [N, O]
void linear_gelu(NaiveRun& run) {
  linear(run);
  for (std::size_t i = 0; i < run.out(0).size(); ++i) run.out(1)[i] = gelu_of(run.out(0)[i]);
}

// in   dy [N, O], weight [I, O], u [N, I]     out   du [N, I]
void linear_gelu_input_gradient(NaiveRun& run) {
  linear_input_gradient(run);
  for (std::size_t i = 0; i < run.out(0).size(); ++i) run.out(0)[i] *= gelu_slope(run.in(2)[i]);
}

void copy(NaiveRun& run) { (run.outs.empty() ? run.writes[0].numbers : run.out(0)) = run.in(0); }

}  // namespace

std::span<const NaiveRow> naive_elements() {
  static const NaiveRow rows[] = {{"add", add},
                                  {"add_rows", add_rows},
                                  {"cast", cast},
                                  {"gelu", gelu},
                                  {"gelu_gradient", gelu_gradient},
                                  {"swiglu", swiglu},
                                  {"swiglu_gradient", swiglu_gradient},
                                  {"dropout_add", dropout_add},
                                  {"dropout_gradient", dropout_gradient},
                                  {"embedding", embedding},
                                  {"embedding_gradient", embedding_gradient},
                                  {"linear", linear},
                                  {"linear_weight_gradient", linear_weight_gradient},
                                  {"linear_input_gradient", linear_input_gradient},
                                  {"linear_gelu", linear_gelu},
                                  {"linear_gelu_input_gradient", linear_gelu_input_gradient},
                                  {"copy_to_host", copy},
                                  {"copy_from_host", copy}};
  return rows;
}

}  // namespace stepscope::testing
