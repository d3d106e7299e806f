#include "model/cuda/matmul_tuning.h"

#include <fmt/format.h>

namespace stepscope {

namespace {

std::string_view name_of(MatmulEpilogue epilogue) {
  switch (epilogue) {
    case MatmulEpilogue::none: return "";
    case MatmulEpilogue::bias: return ", bias";
    case MatmulEpilogue::gelu_bias: return ", bias and gelu";
    case MatmulEpilogue::gelu_slope: return ", gelu's slope";
  }
  return "";
}

}  // namespace

std::string signature_of(const MatmulProblem& problem) {
  const MatmulSpec& s = problem.spec;
  const MatmulBatch& batch = problem.batch;
  const MatmulAlignment& at = problem.alignment;
  std::string text =
      fmt::format("{}{} > {} {} x {} x {}, a {}{}, b {}{}, c {}{}{}", name_of(s.in), problem.tf32 ? " as tf32" : "",
                  name_of(s.out), s.m, s.n, s.k, s.a_stride, s.transpose_a ? " transposed" : "", s.b_stride,
                  s.transpose_b ? " transposed" : "", s.c_stride, name_of(problem.epilogue), s.may_add ? ", adds" : "");
  if (batch.count > 1)
    text += fmt::format(", {} of them {} {} {} apart", batch.count, batch.a_stride, batch.b_stride, batch.c_stride);
  if (at != MatmulAlignment{}) text += fmt::format(", aligned {} {} {}", at.a, at.b, at.c);
  return text;
}

}  // namespace stepscope
