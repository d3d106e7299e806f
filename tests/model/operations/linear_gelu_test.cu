// Matmuls that end in GELU or its slope, beside loops in double that share nothing with them; and steps that have them.
#include <gtest/gtest.h>

#include <cmath>

#include "model/base/half.h"
#include "model/base/tolerance.h"
#include "model/cuda/machine.h"
#include "model/cuda/matmul.cuh"
#include "model/execution/cuda_executor.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "tests/support/on_card.cuh"
#include "tests/support/step_run.h"
#ifndef __CUDACC__
#include "tests/support/host_simt/cublaslt.cuh"
#include "tests/support/host_simt/scheduler.cuh"
#endif

namespace stepscope::testing {

namespace {

constexpr int lines = 6, inner = 11, outer = 16;

template <class T>
std::vector<T> spread_numbers(int count, int seed) {
  std::vector<T> made;
  for (int i = 0; i < count; ++i) made.push_back(store<T>(static_cast<float>((i * 7 + seed) % 23) / 8 - 1.375f));
  return made;
}

double value(const auto& numbers, int i) { return static_cast<double>(load(numbers[static_cast<std::size_t>(i)])); }

double normal_share(double u) { return 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (u + 0.044715 * u * u * u))); }
double slope_of_gelu(double u) {  // by differences, so that no formula is shared
  constexpr double step = 1e-5;
  return ((u + step) * normal_share(u + step) - (u - step) * normal_share(u - step)) / (2 * step);
}

template <class T>
void expect_forward(DType dtype) {
  const auto x = spread_numbers<T>(lines * inner, 1), w = spread_numbers<T>(inner * outer, 2),
             bias = spread_numbers<T>(outer, 5);
  const Stream stream;
  const OnCard<T> on_x(stream, x), on_w(stream, w), on_bias(stream, bias), u(stream, lines * outer),
      g(stream, lines * outer);
  const MatmulLibrary library;
  const MatmulSpec spec{.m = lines,
                        .n = outer,
                        .k = inner,
                        .a_stride = inner,
                        .b_stride = outer,
                        .c_stride = outer,
                        .in = dtype,
                        .out = dtype,
                        .bias = true};
  const DeviceMemory workspace(static_cast<std::size_t>(matmul_workspace_bytes(spec)));
  CudaMatmul(library, spec, false, {on_x.at(), on_w.at(), g.at(), on_bias.at(), workspace.data(), u.at()}, {},
             MatmulEpilogue::gelu_bias)
      .issue(stream.get(), false);
  const std::vector<T> got_u = u.read(), got_g = g.read();
  for (int i = 0; i < lines; ++i)
    for (int j = 0; j < outer; ++j) {
      double sum = value(bias, j);
      for (int k = 0; k < inner; ++k) sum += value(x, i * inner + k) * value(w, k * outer + j);
      EXPECT_TRUE(close(value(got_u, i * outer + j), sum, dtype)) << i << "," << j;
      EXPECT_TRUE(close(value(got_g, i * outer + j), sum * normal_share(sum), dtype)) << i << "," << j;
    }
}

template <class T>
void expect_slope(
    DType dtype) {  // du [lines, outer] = (dy [lines, inner] weight^T) gelu'(u), weight stored [outer, inner]
  const auto dy = spread_numbers<T>(lines * inner, 3), w = spread_numbers<T>(outer * inner, 4),
             u = spread_numbers<T>(lines * outer, 9);
  const Stream stream;
  const OnCard<T> on_dy(stream, dy), on_w(stream, w), on_u(stream, u), du(stream, lines * outer);
  const MatmulLibrary library;
  const MatmulSpec spec{.m = lines,
                        .n = outer,
                        .k = inner,
                        .transpose_b = true,
                        .a_stride = inner,
                        .b_stride = inner,
                        .c_stride = outer,
                        .in = dtype,
                        .out = dtype};
  const DeviceMemory workspace(static_cast<std::size_t>(matmul_workspace_bytes(spec)));
  CudaMatmul(library, spec, false, {on_dy.at(), on_w.at(), du.at(), nullptr, workspace.data(), on_u.at()}, {},
             MatmulEpilogue::gelu_slope)
      .issue(stream.get(), false);
  const std::vector<T> got = du.read();
  for (int i = 0; i < lines; ++i)
    for (int j = 0; j < outer; ++j) {
      double sum = 0;
      for (int k = 0; k < inner; ++k) sum += value(dy, i * inner + k) * value(w, j * inner + k);
      EXPECT_TRUE(close(value(got, i * outer + j), sum * slope_of_gelu(value(u, i * outer + j)), dtype))
          << i << "," << j;
    }
}

StepSetting narrow(const char* precision) {
  StepSetting s;
  s.precision = precision;
  s.global_batch = 4;
  s.sequence = 8;
  s.micro_steps = 2;
  s.steps = 2;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  return s;
}

StepResult on_card(const StepSetting& s, CudaExecutor::Launch how) {
  const Step step = build(s, this_card());
  EXPECT_TRUE(std::ranges::any_of(step.program.operations,
                                  [](const Operation& op) { return op.kind == &linear_gelu_input_gradient_kind; }));
  CudaExecutor executor(step.program, step.plan, how);
  return run_step_on(executor, step, s);
}

}  // namespace

TEST(LinearGelu, is_gelu_of_the_sums_and_keeps_them) {
  expect_forward<bf16>(DType::bf16);
  expect_forward<fp16>(DType::fp16);
  expect_forward<float>(DType::fp32);
}

TEST(LinearGelu, gradients_slope_is_that_of_what_was_kept) {
  expect_slope<bf16>(DType::bf16);
  expect_slope<fp16>(DType::fp16);
  expect_slope<float>(DType::fp32);
}

TEST(LinearGelu, in_a_step_is_made_again_with_the_same_bits_and_replayed_as_issued) {
  for (const char* precision : {"bf16", "fp16"}) {
    StepSetting s = narrow(precision), repeated = s;
    repeated.keep = [](const Program&) { return KeepSet{}; };
    const StepResult eager = on_card(s, CudaExecutor::Launch::eager);
    EXPECT_EQ(bitwise_differences(eager, on_card(repeated, CudaExecutor::Launch::eager)), std::vector<std::string>());
    EXPECT_EQ(bitwise_differences(eager, on_card(s, CudaExecutor::Launch::graph)), std::vector<std::string>());
    const DType compute = precision == std::string("bf16") ? DType::bf16 : DType::fp16;
    s.steps = 1;  // beside operations of their own, before a second step makes much of a last bit
    EXPECT_LT(gradient_error(on_card(s, CudaExecutor::Launch::eager), run_step_of(s)), tolerance(compute).relative);
  }
}

#ifndef __CUDACC__
TEST(LinearGelu, where_the_library_has_none_is_its_matmul_and_our_kernels) {
  const StepSetting s = narrow("bf16");
  const StepResult with = on_card(s, CudaExecutor::Launch::eager);
  host_simt::matmul_options().has_gelu = false;
  const StepResult without = on_card(s, CudaExecutor::Launch::eager);
  StepSetting repeated = s;
  repeated.keep = [](const Program&) { return KeepSet{}; };
  EXPECT_EQ(bitwise_differences(without, on_card(repeated, CudaExecutor::Launch::eager)), std::vector<std::string>());
  const Step step = build(s, this_card());
  CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::eager);
  executor.initialise(1);
  fill_batch(s, step.program, executor);
  const Executor::UsedBytes used = executor.measure_used_bytes(1e-3);
  host_simt::matmul_options() = {};
  EXPECT_EQ(used.differences, std::vector<std::string>());
  EXPECT_EQ(used.arena, step.plan.arena_bytes);
  EXPECT_NE(bitwise_differences(with, without), std::vector<std::string>());  // of g before and after u is rounded
  EXPECT_LT(gradient_error(with, without), tolerance(DType::bf16).relative);
}
#endif

}  // namespace stepscope::testing
