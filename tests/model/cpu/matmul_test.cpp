// Tiled matmuls against loops in double, over odd sizes, layouts and types; and the promises about bits.
#include "model/cpu/matmul.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "model/base/error.h"
#include "model/base/half.h"
#include "model/base/tolerance.h"
#include "model/cpu/machine.h"
#include "model/cpu/threads.h"

namespace stepscope {
namespace {

Machine machine_of(int threads, bool native_bf16) {
  Machine machine = this_cpu(threads);
  machine.native_bf16 = native_bf16;
  return machine;
}

// A matrix as stored, [rows, stride], values of the type dtype; elements past a row's columns are gaps.
struct Matrix {
  DType dtype;
  std::vector<std::byte> bytes;

  Matrix(DType type, std::int64_t elements)
      : dtype(type), bytes(static_cast<std::size_t>(elements * size_bytes(type))) {}
  void set(std::int64_t i, double value) {
    dispatch(dtype,
             [&]<class T>() { reinterpret_cast<T*>(bytes.data())[i] = store<T>(static_cast<Accumulator<T>>(value)); });
  }
  [[nodiscard]] double get(std::int64_t i) const {
    double value = 0;
    dispatch(dtype, [&]<class T>() { value = static_cast<double>(load(reinterpret_cast<const T*>(bytes.data())[i])); });
    return value;
  }
};

constexpr double gap = 77;

struct Problem {
  MatmulSpec spec;
  Matrix a, b, bias, c;

  Problem(const MatmulSpec& s, unsigned seed)
      : spec(s),
        a(s.in, (s.transpose_a ? s.k : s.m) * s.a_stride),
        b(s.in, (s.transpose_b ? s.n : s.k) * s.b_stride),
        bias(s.in, s.n),
        c(s.out, s.m * s.c_stride) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    const auto fill = [&](Matrix& matrix) {
      const auto elements = static_cast<std::int64_t>(matrix.bytes.size()) / size_bytes(matrix.dtype);
      for (std::int64_t i = 0; i < elements; ++i) matrix.set(i, uniform(random));
    };
    fill(a), fill(b), fill(bias), fill(c);
    for (std::int64_t i = 0; i < s.m; ++i)
      for (std::int64_t j = s.n; j < s.c_stride; ++j) c.set(i * s.c_stride + j, gap);
  }

  [[nodiscard]] double expected(std::int64_t i, std::int64_t j, bool add) const {
    double sum = (spec.bias ? bias.get(j) : 0) + (add ? c.get(i * spec.c_stride + j) : 0);
    for (std::int64_t p = 0; p < spec.k; ++p)
      sum += a.get(spec.transpose_a ? p * spec.a_stride + i : i * spec.a_stride + p) *
             b.get(spec.transpose_b ? j * spec.b_stride + p : p * spec.b_stride + j);
    return sum;
  }

  [[nodiscard]] Matrix run(const Machine& machine, bool add) const {
    Threads threads(machine.threads);
    Matrix result = c;
    const std::int64_t workspace_bytes = matmul_workspace(spec, machine);
    std::vector<std::byte> workspace(static_cast<std::size_t>(workspace_bytes) + 512, std::byte{0xff});
    std::byte* const aligned = workspace.data() + (256 - reinterpret_cast<std::uintptr_t>(workspace.data()) % 256);
    aligned[workspace_bytes] = std::byte{0x5a};
    Matmul(spec, machine)
        .run(threads, {.a = a.bytes.data(),
                       .b = b.bytes.data(),
                       .c = result.bytes.data(),
                       .bias = spec.bias ? bias.bytes.data() : nullptr,
                       .workspace = aligned,
                       .add = add});
    EXPECT_EQ(aligned[workspace_bytes], std::byte{0x5a}) << "past the workspace";
    return result;
  }
};

std::string text_of(const MatmulSpec& s) {
  return std::string(name_of(s.in)) + "->" + std::string(name_of(s.out)) + " m" + std::to_string(s.m) + " n" +
         std::to_string(s.n) + " k" + std::to_string(s.k) + (s.transpose_a ? " a'" : "") +
         (s.transpose_b ? " b'" : "") + " strides " + std::to_string(s.a_stride) + " " + std::to_string(s.b_stride) +
         " " + std::to_string(s.c_stride) + (s.bias ? " bias" : "");
}

void expect_right(const Problem& problem, const Machine& machine, bool add) {
  const Matrix result = problem.run(machine, add);
  const MatmulSpec& s = problem.spec;
  int wrong = 0;
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.c_stride; ++j) {
      const double is = result.get(i * s.c_stride + j), should = j < s.n ? problem.expected(i, j, add) : gap;
      if (!(j < s.n ? close(is, should, s.out) : is == gap) && ++wrong == 1)
        ADD_FAILURE() << text_of(s) << (add ? " add" : "") << " at " << i << "," << j << ": " << is << ", not "
                      << should;
    }
  EXPECT_EQ(wrong, 0);
}

struct Types {
  DType in, out;
  bool native_bf16;
};

class EveryMatmul : public testing::TestWithParam<Types> {
 protected:
  void SetUp() override {
    if (GetParam().native_bf16 && !this_cpu(1).native_bf16) GTEST_SKIP() << "this processor does not multiply bf16";
  }
};
INSTANTIATE_TEST_SUITE_P(Types, EveryMatmul,
                         testing::Values(Types{DType::fp64, DType::fp64, false}, Types{DType::fp32, DType::fp32, false},
                                         Types{DType::bf16, DType::bf16, false}, Types{DType::bf16, DType::fp32, false},
                                         Types{DType::bf16, DType::bf16, true}, Types{DType::bf16, DType::fp32, true},
                                         Types{DType::fp16, DType::fp16, false},
                                         Types{DType::fp32, DType::bf16, false}),
                         [](const auto& info) {
                           return std::string(name_of(info.param.in)) + "_" + std::string(name_of(info.param.out)) +
                                  (info.param.native_bf16 ? "_native" : "");
                         });

TEST_P(EveryMatmul, is_right_for_odd_sizes_layouts_and_strides) {
  std::mt19937 random(7);
  const auto pick = [&](int least, int most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random);
  };
  const Types types = GetParam();
  for (int trial = 0; trial < 60; ++trial) {
    MatmulSpec s{.m = pick(1, 70), .n = pick(1, 70), .k = pick(1, 70), .in = types.in, .out = types.out};
    if (trial % 12 == 0) s.m = pick(129, 300);
    if (trial % 6 == 1) s.n = pick(129, 300);  // a transposed: tiles across as well
    s.transpose_a = trial % 2 == 1;
    s.transpose_b = trial / 2 % 2 == 1;
    const bool gaps = trial % 3 == 0;
    s.a_stride = (s.transpose_a ? s.m : s.k) + (gaps ? pick(0, 9) : 0);
    s.b_stride = (s.transpose_b ? s.k : s.n) + (gaps ? pick(0, 9) : 0);
    s.c_stride = s.n + (gaps ? pick(0, 9) : 0);
    s.bias = trial / 4 % 2 == 1;
    s.may_add = !s.bias;
    const Problem problem(s, static_cast<unsigned>(trial));
    expect_right(problem, machine_of(2, types.native_bf16), false);
    if (s.may_add) expect_right(problem, machine_of(2, types.native_bf16), true);
  }
}

TEST_P(EveryMatmul, gives_the_same_bits_for_any_number_of_threads) {
  const Types types = GetParam();
  for (const bool transpose_a : {false, true}) {
    const MatmulSpec s{.m = 300,
                       .n = 150,
                       .k = 130,
                       .transpose_a = transpose_a,
                       .a_stride = transpose_a ? 300 : 130,
                       .b_stride = 150,
                       .c_stride = 150,
                       .in = types.in,
                       .out = types.out,
                       .may_add = true};
    const Problem problem(s, 3);
    const Matrix one = problem.run(machine_of(1, types.native_bf16), true);
    for (const int threads : {2, 3, 4})
      EXPECT_EQ(problem.run(machine_of(threads, types.native_bf16), true).bytes, one.bytes);
  }
}

// What makes a split of a batch give the same forward rows.
TEST_P(EveryMatmul, gives_rows_that_do_not_depend_on_how_many_there_are_when_tiles_match) {
  const Types types = GetParam();
  for (const bool transpose_b : {false, true}) {
    MatmulSpec s{.m = 300,
                 .n = 96,
                 .k = 70,
                 .transpose_b = transpose_b,
                 .a_stride = 70,
                 .b_stride = transpose_b ? 70 : 96,
                 .c_stride = 96,
                 .in = types.in,
                 .out = types.out,
                 .bias = true};
    Problem problem(s, 5);
    const Matrix all = problem.run(machine_of(2, types.native_bf16), false);
    problem.spec.m = 128;
    const Matrix first = problem.run(machine_of(2, types.native_bf16), false);
    const auto head_bytes = static_cast<std::size_t>(128 * 96 * size_bytes(types.out));
    EXPECT_EQ(std::memcmp(all.bytes.data(), first.bytes.data(), head_bytes), 0);
  }
}

TEST_P(EveryMatmul, sums_over_nothing_is_the_bias) {
  const Types types = GetParam();
  const Problem problem({.m = 3,
                         .n = 5,
                         .k = 0,
                         .a_stride = 1,
                         .b_stride = 5,
                         .c_stride = 5,
                         .in = types.in,
                         .out = types.out,
                         .bias = true},
                        1);
  expect_right(problem, machine_of(1, types.native_bf16), false);
}

TEST(Matmul, rounds_at_the_same_points_native_and_widened) {
  if (!this_cpu(1).native_bf16) GTEST_SKIP() << "this processor does not multiply bf16";
  const Problem problem({.m = 64,
                         .n = 64,
                         .k = 256,
                         .a_stride = 256,
                         .b_stride = 64,
                         .c_stride = 64,
                         .in = DType::bf16,
                         .out = DType::bf16,
                         .bias = true},
                        9);
  const Matrix native = problem.run(machine_of(1, true), false), widened = problem.run(machine_of(1, false), false);
  int differ = 0;
  for (std::int64_t i = 0; i < 64 * 64; ++i) {
    EXPECT_TRUE(close(native.get(i), widened.get(i), DType::bf16));
    differ += native.get(i) != widened.get(i) ? 1 : 0;
  }
  EXPECT_LT(differ, 64 * 64 / 100);  // one rounding each; only sums that fall within fp32 noise of a tie may differ
}

TEST(Matmul, refuses_types_and_modes_that_do_not_go_together) {
  const Machine machine = this_cpu(1);
  const MatmulSpec s{.m = 2, .n = 2, .k = 2, .a_stride = 2, .b_stride = 2, .c_stride = 2};
  MatmulSpec bad = s;
  bad.in = DType::bf16, bad.out = DType::fp16;
  EXPECT_THROW(Matmul(bad, machine), ProgramError);
  bad.in = DType::fp64;
  EXPECT_THROW(Matmul(bad, machine), ProgramError);
  Threads three(3);
  EXPECT_THROW(Matmul(s, machine).run(three, {}), ProgramError);
}

}  // namespace
}  // namespace stepscope
