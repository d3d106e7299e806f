// What only attention and materialised_attention promise: that they are softmax attention, under every mask, and what becomes of
// rows without keys and of scores beyond exp's range. The laws of every operation are in operation_laws_test.cpp.
#include "model/operations/attention/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "model/base/half.h"
#include "model/base/tolerance.h"
#include "model/cpu/machine.h"
#include "model/operations/materialised_attention/materialised_attention.h"
#include "tests/support/operation_laws.h"

namespace stepscope::testing {

namespace {

struct Setting {
  bool materialised = false;
  bool causal = false, padding = false;
  int custom = 0;  // 1: one mask for all, 2: one for each row and head
  std::int64_t batch = 2, sequence = 5, heads = 2, width = 4;
  DType dtype = DType::fp32;
  bool native_bf16 = false;
  std::int64_t kv_heads = 0;  // 0: heads

  [[nodiscard]] std::int64_t groups() const { return kv_heads == 0 ? heads : kv_heads; }
  [[nodiscard]] std::int64_t queries() const { return heads / groups(); }
  [[nodiscard]] std::int64_t features() const { return (heads + 2 * groups()) * width; }
  // Of the query of a head, or of the key or value that it looks at.
  [[nodiscard]] std::int64_t packed(std::int64_t b, std::int64_t s, std::int64_t head, int part, std::int64_t d) const {
    const std::int64_t in_group = part == 0 ? head % queries() : queries() + part - 1;
    return (b * sequence + s) * features() + (head / queries() * (queries() + 2) + in_group) * width + d;
  }
  [[nodiscard]] std::int64_t out(std::int64_t b, std::int64_t s, std::int64_t head, std::int64_t d) const {
    return ((b * sequence + s) * heads + head) * width + d;
  }
  [[nodiscard]] std::int64_t row(std::int64_t b, std::int64_t head, std::int64_t s) const {
    return (b * heads + head) * sequence + s;
  }
  [[nodiscard]] double scale() const { return 1 / std::sqrt(static_cast<double>(width)); }
};

CaseProgram program_of(const Setting& s) {
  CaseBuilder c(s.dtype, 1);
  const Operand qkv = c.activation("qkv", {s.batch, s.sequence, s.features()});
  AttentionOperands operands{qkv, qkv, qkv, {}, {}};
  std::int64_t part = 0;
  for (Operand* operand : {&operands.q, &operands.k, &operands.v})
    operand->view = {
        .offset = s.packed(0, 0, 0, static_cast<int>(part++), 0),
        .shape = {s.batch, s.sequence, s.groups(), operand == &operands.q ? s.queries() * s.width : s.width},
        .strides = {s.packed(1, 0, 0, 0, 0), s.packed(0, 1, 0, 0, 0), (s.queries() + 2) * s.width, 1}};
  if (s.padding) {
    std::vector<double> lengths;
    for (std::int64_t b = 0; b < s.batch; ++b) lengths.push_back(static_cast<double>(s.sequence - 2 * b));
    operands.lengths = c.integers("lengths", {s.batch}, lengths);
  }
  if (s.custom > 0)
    operands.mask = c.mask(
        s.custom == 1 ? Shape{1, 1, s.sequence, s.sequence} : Shape{s.batch, s.heads, s.sequence, s.sequence}, 0.6, 1);
  c.project({s.materialised ? materialised_attention(c.b, operands, s.causal, s.scale())
                            : attention(c.b, operands, s.causal, s.scale())});
  return std::move(c).finish();
}

struct Outcome {
  std::vector<double> o, statistic, gradient;  // statistic: lse or p
};

Outcome run(const Setting& s, const CaseProgram& made) {
  Machine machine;
  machine.native_bf16 = s.native_bf16;
  GuardedMachine guarded(made.program, machine);
  for (const auto& [name, numbers] : made.contents) guarded.write(made.program.find_state(name), numbers);
  run_step(guarded);
  Outcome outcome;
  for (const Operation& op : made.program.operations) {
    if (op.kind != &attention_kind && op.kind != &materialised_attention_kind) continue;
    outcome.o = guarded.read(op.outs[0]);
    outcome.statistic = guarded.read(op.outs[1]);
  }
  outcome.gradient = guarded.read(made.program.belonging_to(made.program.find_state("qkv"), StateKind::gradient));
  return outcome;
}

// Softmax attention in double, from the numbers that the operation is given.
class Definition {
 public:
  Definition(const Setting& setting, const CaseProgram& made)
      : s(setting), contents_(made.contents), qkv_(made.contents.at("qkv")) {}

  [[nodiscard]] bool sees(std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j) const {
    if (s.causal && j > i) return false;
    if (s.padding && static_cast<double>(j) >= contents_.at("lengths")[static_cast<std::size_t>(b)]) return false;
    const std::int64_t matrix = s.custom == 2 ? b * s.heads + head : 0;
    return s.custom == 0 ||
           contents_.at("mask")[static_cast<std::size_t>((matrix * s.sequence + i) * s.sequence + j)] != 0;
  }
  [[nodiscard]] double score(std::int64_t b, std::int64_t head, std::int64_t i, std::int64_t j) const {
    double sum = 0;
    for (std::int64_t d = 0; d < s.width; ++d) sum += at(b, i, head, 0, d) * at(b, j, head, 1, d);
    return s.scale() * sum;
  }
  // Weights of a row, all zero if it sees nothing; lse beside them.
  [[nodiscard]] std::vector<double> weights(std::int64_t b, std::int64_t head, std::int64_t i, double& lse) const {
    std::vector<double> p(static_cast<std::size_t>(s.sequence), 0.0);
    double most = -INFINITY, sum = 0;
    for (std::int64_t j = 0; j < s.sequence; ++j)
      if (sees(b, head, i, j)) most = std::max(most, score(b, head, i, j));
    for (std::int64_t j = 0; j < s.sequence; ++j)
      if (sees(b, head, i, j)) sum += p[static_cast<std::size_t>(j)] = std::exp(score(b, head, i, j) - most);
    lse = most + std::log(sum);
    for (double& weight : p)
      if (sum > 0) weight /= sum;
    return p;
  }
  [[nodiscard]] double at(std::int64_t b, std::int64_t row, std::int64_t head, int part, std::int64_t d) const {
    return qkv_[static_cast<std::size_t>(s.packed(b, row, head, part, d))];
  }

  const Setting s;

 private:
  const std::map<std::string, std::vector<double>>& contents_;
  const std::vector<double>& qkv_;
};

void expect_softmax_attention(const Setting& s) {
  const CaseProgram made = program_of(s);
  const Outcome outcome = run(s, made);
  const Definition definition(s, made);
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t head = 0; head < s.heads; ++head)
      for (std::int64_t i = 0; i < s.sequence; ++i) {
        double lse = 0;
        const std::vector<double> p = definition.weights(b, head, i, lse);
        const auto row = static_cast<std::size_t>(s.row(b, head, i));
        if (!s.materialised) {
          ASSERT_TRUE(close(outcome.statistic[row], lse, s.dtype))
              << "lse " << outcome.statistic[row] << ", not " << lse;
        }
        for (std::size_t j = 0; s.materialised && j < p.size(); ++j)
          ASSERT_TRUE(close(outcome.statistic[row * p.size() + j], p[j], s.dtype)) << "p of row " << i << ", key " << j;
        for (std::int64_t d = 0; d < s.width; ++d) {
          double o = 0;
          for (std::size_t j = 0; j < p.size(); ++j)
            o += p[j] * definition.at(b, static_cast<std::int64_t>(j), head, 2, d);
          ASSERT_TRUE(close(outcome.o[static_cast<std::size_t>(s.out(b, i, head, d))], o, s.dtype)) << "o of row " << i;
        }
      }
}

class EveryAttention : public ::testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] static Setting setting() { return {.materialised = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Kinds, EveryAttention, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "materialised" : "fused"; });

}  // namespace

TEST_P(EveryAttention, is_softmax_attention_under_every_mask) {
  for (const bool causal : {false, true})
    for (const bool padding : {false, true})
      for (const int custom : {0, 1, 2})
        for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
          SCOPED_TRACE(std::string(name_of(dtype)) + (causal ? " causal" : "") + (padding ? " padding" : "") +
                       " custom " + std::to_string(custom));
          Setting s = setting();
          s.causal = causal, s.padding = padding, s.custom = custom, s.dtype = dtype;
          expect_softmax_attention(s);
          s.native_bf16 = dtype == DType::bf16 && this_cpu(1).native_bf16;
          if (s.native_bf16) expect_softmax_attention(s);
        }
}

TEST_P(EveryAttention, is_softmax_attention_where_queries_share_keys_and_values) {
  for (const std::int64_t kv_heads : {1, 2, 3})
    for (const int custom : {0, 2})
      for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
        SCOPED_TRACE(std::string(name_of(dtype)) + " kv heads " + std::to_string(kv_heads));
        Setting s = setting();
        s.heads = 6, s.kv_heads = kv_heads, s.causal = true, s.custom = custom, s.dtype = dtype;
        expect_softmax_attention(s);
        s.native_bf16 = dtype == DType::bf16 && this_cpu(1).native_bf16;
        if (s.native_bf16) expect_softmax_attention(s);
      }
}

// Shared keys and values are as if each query had its own copy; their gradient is the sum of the copies'.
TEST_P(EveryAttention, gradient_of_a_shared_key_is_the_sum_over_its_queries) {
  Setting shared = setting(), own = setting();
  shared.dtype = own.dtype = DType::fp64;
  shared.causal = own.causal = true;
  shared.heads = own.heads = 6, shared.kv_heads = 2;
  const CaseProgram grouped = program_of(shared);
  CaseProgram repeated = program_of(own);
  const auto for_each = [&](auto f) {
    for (std::int64_t b = 0; b < own.batch; ++b)
      for (std::int64_t row = 0; row < own.sequence; ++row)
        for (std::int64_t head = 0; head < own.heads; ++head)
          for (const int part : {0, 1, 2})
            for (std::int64_t d = 0; d < own.width; ++d)
              f(static_cast<std::size_t>(shared.packed(b, row, head, part, d)),
                static_cast<std::size_t>(own.packed(b, row, head, part, d)));
  };
  for_each([&](std::size_t at, std::size_t copy) { repeated.contents["qkv"][copy] = grouped.contents.at("qkv")[at]; });
  repeated.contents["weights0"] = grouped.contents.at("weights0");
  const Outcome together = run(shared, grouped), apart = run(own, repeated);
  std::vector<double> sums(together.gradient.size(), 0.0);
  for_each([&](std::size_t at, std::size_t copy) { sums[at] += apart.gradient[copy]; });
  for (std::size_t i = 0; i < sums.size(); ++i)
    EXPECT_TRUE(close(together.gradient[i], sums[i], DType::fp64)) << together.gradient[i] << ", not " << sums[i];
}

TEST_P(EveryAttention, is_softmax_attention_over_several_blocks_of_queries) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    Setting s = setting();
    s.causal = s.padding = true;
    s.sequence = 131, s.width = 8, s.dtype = dtype;
    expect_softmax_attention(s);
  }
}

TEST_P(EveryAttention, gives_zeros_and_no_gradient_where_nothing_is_seen) {
  for (const DType dtype : {DType::fp64, DType::fp32, DType::bf16}) {
    Setting s = setting();
    s.padding = true, s.dtype = dtype;
    CaseProgram made = program_of(s);
    made.contents["lengths"] = {3, 0};  // the second row of the batch sees nothing at all
    const Outcome outcome = run(s, made);
    const std::size_t half = outcome.o.size() / 2, gradient_half = outcome.gradient.size() / 2;
    for (std::size_t i = 0; i < outcome.o.size(); ++i) EXPECT_TRUE(i < half ? outcome.o[i] != 0 : outcome.o[i] == 0);
    for (std::size_t i = gradient_half; i < outcome.gradient.size(); ++i) EXPECT_EQ(outcome.gradient[i], 0);
    for (std::size_t i = 0; i < gradient_half; ++i) EXPECT_TRUE(std::isfinite(outcome.gradient[i]));
    const double nothing = s.materialised ? 0 : -INFINITY;
    for (std::size_t i = outcome.statistic.size() / 2; i < outcome.statistic.size(); ++i)
      EXPECT_EQ(outcome.statistic[i], nothing);
  }
}

TEST_P(EveryAttention,
       takes_one_key_whole_where_scores_lie_far_apart) {  // exp of these scores overflows, and underflows
  Setting s = setting();
  s.batch = s.heads = 1;
  CaseProgram made = program_of(s);
  std::vector<double>& qkv = made.contents["qkv"];
  for (std::int64_t row = 0; row < s.sequence; ++row)
    for (std::int64_t d = 0; d < s.width; ++d) {
      qkv[static_cast<std::size_t>(s.packed(0, row, 0, 0, d))] = d == 0 ? 1024 : 0;
      qkv[static_cast<std::size_t>(s.packed(0, row, 0, 1, d))] =
          d == 0 ? static_cast<double>(row) - 2 : 0;  // scores 512 (row - 2)
    }
  const Outcome outcome = run(s, made);
  for (std::int64_t row = 0; row < s.sequence; ++row)
    for (std::int64_t d = 0; d < s.width; ++d)
      EXPECT_EQ(outcome.o[static_cast<std::size_t>(s.out(0, row, 0, d))],
                qkv[static_cast<std::size_t>(s.packed(0, s.sequence - 1, 0, 2, d))]);
  for (const double gradient : outcome.gradient) EXPECT_TRUE(std::isfinite(gradient));
}

TEST_P(EveryAttention, rows_do_not_change_with_later_tokens_under_a_causal_mask) {
  for (const DType dtype : {DType::fp32, DType::bf16}) {
    Setting s = setting();
    s.causal = true;
    s.batch = 1, s.sequence = 100, s.width = 16, s.dtype = dtype;
    CaseProgram made = program_of(s);
    const Outcome before = run(s, made);
    constexpr std::int64_t changed = 70;
    for (std::int64_t at = s.packed(0, changed, 0, 0, 0); at < s.packed(0, changed + 1, 0, 0, 0); ++at)
      made.contents["qkv"][static_cast<std::size_t>(at)] = 1000;
    const Outcome after = run(s, made);
    const auto rows = static_cast<std::ptrdiff_t>(s.out(0, changed, 0, 0));
    EXPECT_TRUE(std::equal(before.o.begin(), before.o.begin() + rows, after.o.begin()));
    EXPECT_FALSE(std::equal(before.o.begin() + rows, before.o.end(), after.o.begin() + rows));
  }
}

TEST_P(EveryAttention, rows_do_not_change_with_what_padding_holds) {
  for (const DType dtype : {DType::fp32, DType::bf16}) {
    Setting s = setting();
    s.padding = true;
    s.batch = 1, s.sequence = 90, s.width = 16, s.dtype = dtype;
    CaseProgram made = program_of(s);
    made.contents["lengths"] = {66};
    const Outcome before = run(s, made);
    for (std::int64_t at = s.packed(0, 66, 0, 0, 0); at < s.packed(0, 90, 0, 0, 0); ++at)
      made.contents["qkv"][static_cast<std::size_t>(at)] = 1e6;
    const Outcome after = run(s, made);
    EXPECT_TRUE(std::equal(before.o.begin(), before.o.begin() + static_cast<std::ptrdiff_t>(s.out(0, 66, 0, 0)),
                           after.o.begin()));
  }
}

}  // namespace stepscope::testing
