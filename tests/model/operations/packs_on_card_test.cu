// Kernels that move 16 bytes at a time, beside loops in double: rows that begin anywhere, ends that fill no pack, extremes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/base/tolerance.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/linear/linear.h"
#include "model/operations/loss_scaling/loss_scaling.h"
#include "tests/support/card_beside.cuh"
#include "tests/support/operation_cases.h"
#include "tests/support/operation_laws.h"
#include "tests/support/run_operation.h"

namespace stepscope::testing {

namespace {

std::vector<double> spread(std::int64_t count, double scale) {
  std::vector<double> made;
  for (std::int64_t i = 0; i < count; ++i) made.push_back(static_cast<double>((i * 37 + i / 11) % 101 - 50) * scale);
  return made;
}

std::vector<double> of_card(const GuardedMachine& machine, const CardBeside& card, int out) {
  const ValueId id = machine.program().operations.back().outs[static_cast<std::size_t>(out)];
  return numbers_at(card.bytes(id).data(), machine.program().value(id).type);
}

void expect_cross_entropy(std::int64_t columns, const std::vector<double>& logits, DType gradient) {
  const std::vector<double> targets{1, -1, static_cast<double>(columns - 1), 0, static_cast<double>(columns / 2)};
  const auto rows = std::ssize(targets);
  ControlBlock control;
  control.token_count = 8;
  control.loss_scale = 4;
  GuardedMachine machine = one_operation(
      cross_entropy_kind, {.output = gradient},
      {{DType::fp32, {1, rows, columns}, logits}, {DType::int32, {1, rows}, targets}, control_operand()}, {}, control);
  CardBeside card;
  machine.run_beside(Section::micro, card.beside(gradient));
  double loss = 0;
  const std::vector<double> dx = of_card(machine, card, 1);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* x = logits.data() + row * columns;
    const double target = targets[static_cast<std::size_t>(row)], most = *std::max_element(x, x + columns);
    double sum = 0;
    for (std::int64_t v = 0; v < columns; ++v) sum += std::exp(x[v] - most);
    if (target >= 0) loss += std::log(sum) + most - x[static_cast<std::int64_t>(target)];
    for (std::int64_t v = 0; v < columns; ++v) {
      const double share = std::exp(x[v] - most) / sum - (static_cast<double>(v) == target ? 1 : 0);
      const double expected = target < 0 ? 0 : share * control.loss_scale / control.token_count;
      EXPECT_TRUE(close(dx[static_cast<std::size_t>(row * columns + v)], expected, gradient)) << row << "," << v;
    }
  }
  EXPECT_TRUE(close(of_card(machine, card, 0)[0], loss / control.token_count, DType::fp32));
}

}  // namespace

TEST(PacksOnCard, cross_entropy_of_rows_that_begin_anywhere) {
  for (const std::int64_t columns : {2, 7, 9, 16, 1003, 2056})
    for (const DType gradient : {DType::bf16, DType::fp16, DType::fp32})
      expect_cross_entropy(columns, spread(5 * columns, 0.125), gradient);
}

TEST(PacksOnCard, cross_entropy_neither_overflows_nor_vanishes) {
  for (const std::int64_t columns : {1001, 2048})
    for (const std::int64_t greatest : {0, 6, 997}) {
      std::vector<double> logits = alternating(5 * columns, -1e30, 1e4);
      for (std::int64_t row = 0; row < 5; ++row) logits[static_cast<std::size_t>(row * columns + greatest)] = 10010;
      expect_cross_entropy(columns, logits, DType::fp32);
    }
}

TEST(PacksOnCard, column_sums_of_a_bias_gradient) {
  for (const std::int64_t columns : {8, 136, 131})
    for (const std::int64_t rows : {1, 70, 129})
      for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
        const std::vector<double> x(static_cast<std::size_t>(rows * 3), 1.0), dy = spread(rows * columns, 0.0625);
        const std::vector<double> before = spread(columns, 1);
        GuardedMachine machine =
            one_operation(linear_weight_gradient_kind, {}, {{dtype, {rows, 3}, x}, {dtype, {rows, columns}, dy}},
                          {{{DType::fp32, {3, columns}, all(3 * columns, 0)}, StateKind::gradient, Accumulate::no},
                           {{DType::fp32, {columns}, before}, StateKind::gradient, Accumulate::always}});
        CardBeside card;
        machine.run_beside(Section::micro, card.beside(DType::fp32));  // the card's beside the CPU's
        const std::vector<double> sums = machine.read(machine.program().operations.back().writes[1].state);
        for (std::int64_t j = 0; j < columns; ++j) {
          double sum = before[static_cast<std::size_t>(j)];
          for (std::int64_t row = 0; row < rows; ++row) sum += dy[static_cast<std::size_t>(row * columns + j)];
          EXPECT_TRUE(close(sums[static_cast<std::size_t>(j)], sum, DType::fp32)) << columns << "," << rows << "," << j;
        }
      }
}

namespace {

constexpr std::int64_t sizes[] = {1, 9, 8200, 40001};  // one, less than a range, a range and a bit, several

double norm_of_sizes(double divisor) {
  double squares = 0;
  for (const std::int64_t n : sizes)
    for (const double g : spread(n, 0.25)) squares += g * g / (divisor * divisor);
  return std::sqrt(squares);
}

}  // namespace

TEST(PacksOnCard, the_norm_of_gradients) {
  for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
    std::vector<Tensor> ins{control_operand()};
    for (const std::int64_t n : sizes) ins.push_back({dtype, {n}, spread(n, 0.25)});
    GuardedMachine machine = one_operation(gradient_norm_kind, {.clip = 1}, ins);
    CardBeside card;
    machine.run_beside(Section::micro, card.beside(DType::fp32));
    EXPECT_EQ(card.operations(), 1);
    EXPECT_TRUE(close(machine.control().gradient_norm, norm_of_sizes(1), DType::fp32)) << name_of(dtype);
  }
}

TEST(PacksOnCard, unscaled_gradients_and_their_norm) {
  CaseBuilder c(DType::fp32, 1);
  std::vector<Write> writes{{c.b.program().results, Accumulate::no}};
  for (const std::int64_t n : sizes)
    writes.push_back({c.state("g" + std::to_string(n), StateKind::gradient, {n}, spread(n, 0.25)), Accumulate::no});
  c.update(unscale_gradients_kind, {.clip = 1}, {c.b.results()}, writes);
  GuardedMachine machine = machine_of(std::move(c).finish());
  machine.control().loss_scale = 8;
  CardBeside card;
  machine.run_beside(Section::update, card.beside(DType::fp32));
  EXPECT_EQ(card.operations(), 1);
  EXPECT_TRUE(close(machine.control().gradient_norm, norm_of_sizes(8), DType::fp32));
}

}  // namespace stepscope::testing
