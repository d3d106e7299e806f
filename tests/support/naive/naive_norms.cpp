// Norms of rows. A normed row n = (x - mean) rstd, y = n scale [+ bias]; with g = dy scale and averages over the row's features the chain
// rule gives dx = rstd (g - avg(g) - n avg(g n)) where the mean is taken off (layer_norm), rstd (g - n avg(g n)) where it is not.
#include <cmath>

#include "tests/support/naive/naive_operations.h"

namespace stepscope::testing {

namespace {

struct Statistics {
  double mean = 0, rstd = 0;
};

// Ba, Kiros, Hinton 2016, and, without the mean, Zhang, Sennrich 2019.
Statistics statistics_of(const double* x, std::size_t count, double epsilon, bool centred) {
  Statistics row;
  for (std::size_t i = 0; i < count && centred; ++i) row.mean += x[i] / static_cast<double>(count);
  double squares = 0;
  for (std::size_t i = 0; i < count; ++i) squares += (x[i] - row.mean) * (x[i] - row.mean);
  row.rstd = 1 / std::sqrt(squares / static_cast<double>(count) + epsilon);
  return row;
}

// dx of a row; dscale and dbias, where there is one, add up over rows.
void row_gradient(const double* dy, const double* x, const double* scale, const Statistics& row, std::size_t count,
                  bool centred, double* dx, double* dscale, double* dbias) {
  double average_g = 0, average_gn = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double n = (x[i] - row.mean) * row.rstd;
    average_g += dy[i] * scale[i] / static_cast<double>(count);
    average_gn += dy[i] * scale[i] * n / static_cast<double>(count);
    dscale[i] += dy[i] * n;
    if (dbias != nullptr) dbias[i] += dy[i];
  }
  for (std::size_t i = 0; i < count; ++i) {
    const double n = (x[i] - row.mean) * row.rstd;
    dx[i] += row.rstd * (dy[i] * scale[i] - (centred ? average_g : 0) - n * average_gn);
  }
}

// in   x, scale, bias     out   y, mean, rstd
void layer_norm(NaiveRun& run) {
  const NaiveMatrix x = matrix_of(run.ins[0]), y = matrix_of(run.outs[0]);
  for (std::size_t n = 0; n < x.rows; ++n) {
    const Statistics row = statistics_of(&x(n, 0), x.columns, run.attributes().epsilon, true);
    for (std::size_t f = 0; f < x.columns; ++f) y(n, f) = (x(n, f) - row.mean) * row.rstd * run.in(1)[f] + run.in(2)[f];
    run.out(1)[n] = row.mean;
    run.out(2)[n] = row.rstd;
  }
}

// in   x, scale     out   y, rstd
void rms_norm(NaiveRun& run) {
  const NaiveMatrix x = matrix_of(run.ins[0]), y = matrix_of(run.outs[0]);
  for (std::size_t n = 0; n < x.rows; ++n) {
    const Statistics row = statistics_of(&x(n, 0), x.columns, run.attributes().epsilon, false);
    for (std::size_t f = 0; f < x.columns; ++f) y(n, f) = x(n, f) * row.rstd * run.in(1)[f];
    run.out(1)[n] = row.rstd;
  }
}

// in   dy, x, mean where it is taken off, rstd, scale, so_far?     writes   dscale, dbias where there was one
void norm_gradient(NaiveRun& run, bool centred) {
  const std::size_t rstd = centred ? 3 : 2, scale = rstd + 1, so_far = rstd + 2;
  const NaiveMatrix dy = matrix_of(run.ins[0]), x = matrix_of(run.ins[1]);
  std::vector<double> dx(x.rows * x.columns, 0.0), dscale(x.columns, 0.0), dbias(x.columns, 0.0);
  if (run.ins.size() > so_far) dx = run.in(so_far);
  for (std::size_t n = 0; n < x.rows; ++n)
    row_gradient(&dy(n, 0), &x(n, 0), run.in(scale).data(), {centred ? run.in(2)[n] : 0, run.in(rstd)[n]}, x.columns,
                 centred, &dx[n * x.columns], dscale.data(), dbias.data());
  if (!run.outs.empty()) run.out(0) = dx;
  run.join(0, dscale);
  if (centred) run.join(1, dbias);
}
void layer_norm_gradient(NaiveRun& run) { norm_gradient(run, true); }
void rms_norm_gradient(NaiveRun& run) { norm_gradient(run, false); }

// Heads of a packed row [kv head: its queries, its key, its value]: f(head's first feature, whether it is a key, its number) for each
// query and key.
template <class F>
void for_each_normed(const NaiveRun& run, std::size_t width, F f) {
  const auto D = static_cast<std::size_t>(run.attributes().head_dim),
             heads = static_cast<std::size_t>(run.attributes().heads);
  const std::size_t groups = (width / D - heads) / 2, queries = heads / groups;
  for (std::size_t group = 0, number = 0; group < groups; ++group)
    for (std::size_t part = 0; part <= queries; ++part, ++number)
      f((group * (queries + 2) + part) * D, part == queries, number);
}

// in   qkv, q_scale, k_scale     out   y, rstd
void qk_norm(NaiveRun& run) {
  const NaiveMatrix qkv = matrix_of(run.ins[0]), y = matrix_of(run.outs[0]), rstd = matrix_of(run.outs[1]);
  const auto D = static_cast<std::size_t>(run.attributes().head_dim);
  run.out(0) = run.in(0);
  for (std::size_t t = 0; t < qkv.rows; ++t)
    for_each_normed(run, qkv.columns, [&](std::size_t first, bool key, std::size_t number) {
      const Statistics head = statistics_of(&qkv(t, first), D, run.attributes().epsilon, false);
      rstd(t, number) = head.rstd;
      for (std::size_t d = 0; d < D; ++d) y(t, first + d) = qkv(t, first + d) * head.rstd * run.in(key ? 2 : 1)[d];
    });
}

// in   dy, qkv, rstd, q_scale, k_scale     writes   dq_scale, dk_scale
void qk_norm_gradient(NaiveRun& run) {
  const NaiveMatrix dy = matrix_of(run.ins[0]), qkv = matrix_of(run.ins[1]), rstd = matrix_of(run.ins[2]),
                    dqkv = matrix_of(run.outs[0]);
  const auto D = static_cast<std::size_t>(run.attributes().head_dim);
  std::vector<double> dscales[2] = {std::vector<double>(D, 0.0), std::vector<double>(D, 0.0)};
  run.out(0) = run.in(0);
  for (std::size_t t = 0; t < qkv.rows; ++t)
    for_each_normed(run, qkv.columns, [&](std::size_t first, bool key, std::size_t number) {
      for (std::size_t d = 0; d < D; ++d) dqkv(t, first + d) = 0;
      row_gradient(&dy(t, first), &qkv(t, first), run.in(key ? 4 : 3).data(), {0, rstd(t, number)}, D, false,
                   &dqkv(t, first), dscales[key ? 1 : 0].data(), nullptr);
    });
  for (std::size_t w = 0; w < 2; ++w) run.join(w, dscales[w]);
}

}  // namespace

std::span<const NaiveRow> naive_norms() {
  static const NaiveRow rows[] = {{"layer_norm", layer_norm}, {"layer_norm_gradient", layer_norm_gradient},
                                  {"rms_norm", rms_norm},     {"rms_norm_gradient", rms_norm_gradient},
                                  {"qk_norm", qk_norm},       {"qk_norm_gradient", qk_norm_gradient}};
  return rows;
}

}  // namespace stepscope::testing
