#include "tests/support/operation_cases.h"

#include <cmath>

#include "model/operations/adam/adam.h"
#include "model/operations/attention/attention.h"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/embedding/embedding.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/gradient_norm/gradient_norm.h"
#include "model/operations/layer_norm/layer_norm.h"
#include "model/operations/linear/linear.h"
#include "model/operations/linear_gelu/linear_gelu.h"
#include "model/operations/loss_scaling/loss_scaling.h"
#include "model/operations/materialised_attention/materialised_attention.h"
#include "model/operations/qk_norm/qk_norm.h"
#include "model/operations/rms_norm/rms_norm.h"
#include "model/operations/rotary/rotary.h"
#include "model/operations/swiglu/swiglu.h"
#include "model/program/add.h"
#include "model/program/copy.h"
#include "tests/support/test_kinds.h"

namespace stepscope::testing {

CaseProgram OperationCase::make(DType compute, int micro) const {
  CaseBuilder c(compute, micro);
  build(c);
  return std::move(c).finish();
}

namespace {

using Use = Builder::Use;

std::string named(const std::string& kind, std::initializer_list<std::int64_t> sizes) {
  std::string name = kind;
  for (const std::int64_t size : sizes) name += (name.size() == kind.size() ? "_" : "x") + std::to_string(size);
  return name;
}

std::vector<double> counting_tokens(std::int64_t count, std::int64_t vocabulary) {  // with repeats, and tokens left out
  std::vector<double> tokens(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    tokens[static_cast<std::size_t>(i)] = static_cast<double>(i * i * 7 % vocabulary);
  return tokens;
}

OperationCase embedding_case(std::int64_t batch, std::int64_t sequence, std::int64_t longest, std::int64_t vocabulary,
                             std::int64_t features) {
  return {
      named("embedding", {batch, sequence, vocabulary, features}), 2, true, [=](CaseBuilder& c) {
        const Operand tokens = c.integers("tokens", {batch, sequence}, counting_tokens(batch * sequence, vocabulary));
        const Operand table = c.parameter("table", {vocabulary, features}, Use::exact);
        Operand positions = c.parameter("positions", {longest, features}, Use::exact);
        positions.view.shape = {sequence, features};
        c.project({embedding(c.b, tokens, table, positions)});
      }};
}

OperationCase embedding_alone_case(std::int64_t batch, std::int64_t sequence, std::int64_t vocabulary,
                                   std::int64_t features) {
  return {
      named("embedding_without_positions", {batch, sequence, vocabulary, features}), 2, true, [=](CaseBuilder& c) {
        const Operand tokens = c.integers("tokens", {batch, sequence}, counting_tokens(batch * sequence, vocabulary));
        c.project({embedding(c.b, tokens, c.parameter("table", {vocabulary, features}, Use::exact), {})});
      }};
}

OperationCase linear_without_bias_case(std::int64_t batch, std::int64_t sequence, std::int64_t in, std::int64_t out) {
  return {named("linear_without_bias", {batch, sequence, in, out}), 2, false, [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, in});
            const double deviation = 1 / std::sqrt(static_cast<double>(in));
            const Operand weight = c.parameter("weight", {in, out}, Use::multiplied, 0, deviation);
            c.project({linear(c.b, x, weight, {}, c.b.compute())});
          }};
}

OperationCase linear_case(std::int64_t batch, std::int64_t sequence, std::int64_t in, std::int64_t out,
                          bool wide_output) {
  return {named(wide_output ? "linear_to_wide" : "linear", {batch, sequence, in, out}), 2, false, [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, in});
            const double deviation = 1 / std::sqrt(static_cast<double>(in));
            const Operand weight = c.parameter("weight", {in, out}, Use::multiplied, 0, deviation);
            const Operand bias = c.parameter("bias", {out}, Use::multiplied);
            c.project({linear(c.b, x, weight, bias, wide_output ? c.b.statistic() : c.b.compute())});
          }};
}

// The weight is a table stored [out, in], as a tied head's is; with a bias or without.
OperationCase table_linear_case(std::int64_t batch, std::int64_t sequence, std::int64_t in, std::int64_t out,
                                bool with_bias) {
  return {named(with_bias ? "linear_of_a_table_with_bias" : "linear_of_a_table", {batch, sequence, in, out}), 2, false,
          [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, in});
            const double deviation = 1 / std::sqrt(static_cast<double>(in));
            Operand weight = c.parameter("table", {out, in}, Use::multiplied, 0, deviation);
            weight.view.shape = {in, out};
            weight.view.strides = {1, in};
            std::optional<Operand> bias;
            if (with_bias) bias = c.parameter("bias", {out}, Use::multiplied);
            c.project({linear(c.b, x, weight, bias, c.b.statistic())});
          }};
}

// x by two pieces of its rows that share some, each multiplied by itself: their gradients are joined to one.
OperationCase linear_by_rows_case(std::int64_t batch, std::int64_t sequence, std::int64_t in, std::int64_t out) {
  return {named("linear_by_rows", {batch, sequence, in, out}), 2, false, [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, in});
            const Operand weight =
                c.parameter("weight", {in, out}, Use::multiplied, 0, 1 / std::sqrt(static_cast<double>(in)));
            const std::int64_t rows = x.view.shape.rows(), first = rows / 3;
            std::vector<ValueId> products;
            for (const RowRange& part : {RowRange{0, rows - first}, RowRange{first, rows - first}}) {
              Operand piece = x;
              piece.view.offset = part.first * in;
              piece.view.shape = {part.count, in};
              piece.view.strides = {in, 1};
              products.push_back(linear(c.b, piece, weight, std::nullopt, c.b.compute()));
            }
            c.project(products);
          }};
}

// `twice`: x is read a second time, so that the gradient it already has is added in.
OperationCase layer_norm_case(std::int64_t batch, std::int64_t sequence, std::int64_t features, bool twice) {
  return {named(twice ? "layer_norm_of_a_residual" : "layer_norm", {batch, sequence, features}), batch % 2 == 0 ? 2 : 1,
          true, [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, features}, 3, 2);
            const Operand scale = c.parameter("scale", {features}, Use::exact, 1, 0.25);
            const Operand bias = c.parameter("bias", {features}, Use::exact);
            const ValueId y = layer_norm(c.b, x, scale, bias, 1e-6);
            c.project(twice ? std::vector{y, x.value()} : std::vector{y});
          }};
}

OperationCase rms_norm_case(std::int64_t batch, std::int64_t sequence, std::int64_t features, bool twice) {
  return {named(twice ? "rms_norm_of_a_residual" : "rms_norm", {batch, sequence, features}), batch % 2 == 0 ? 2 : 1,
          true, [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, features}, 0.5, 2);
            const Operand scale = c.parameter("scale", {features}, Use::exact, 1, 0.25);
            const ValueId y = rms_norm(c.b, x, scale, 1e-6);
            c.project(twice ? std::vector{y, x.value()} : std::vector{y});
          }};
}

// heads share kv_heads keys and values; epsilon is of the size of the squares, so that its place in the formula is felt.
OperationCase qk_norm_case(std::int64_t batch, std::int64_t sequence, std::int64_t heads, std::int64_t kv_heads,
                           std::int64_t width) {
  return {named("qk_norm", {batch, sequence, heads, kv_heads, width}), 2, true, [=](CaseBuilder& c) {
            const Operand qkv = c.activation("qkv", {batch, sequence, (heads + 2 * kv_heads) * width}, 0.5, 2);
            const Operand q_scale = c.parameter("q_scale", {width}, Use::exact, 1, 0.25);
            const Operand k_scale = c.parameter("k_scale", {width}, Use::exact, -1, 0.25);
            c.project({qk_norm(c.b, qkv, q_scale, k_scale, heads, 0.25)});
          }};
}

OperationCase rotary_case(std::int64_t batch, std::int64_t sequence, std::int64_t heads, std::int64_t kv_heads,
                          std::int64_t width, const RotaryScale& scale) {
  return {named(scale.original > 0 ? "rotary_stretched" : "rotary", {batch, sequence, heads, kv_heads, width}), 2, true,
          [=](CaseBuilder& c) {
            const Operand qkv = c.activation("qkv", {batch, sequence, (heads + 2 * kv_heads) * width});
            c.project({rotary(c.b, qkv, heads, width, scale)});
          }};
}

OperationCase swiglu_case(std::int64_t batch, std::int64_t sequence, std::int64_t features) {
  return {named("swiglu", {batch, sequence, features}), 2, true, [=](CaseBuilder& c) {
            const Operand gate = c.activation("gate", {batch, sequence, features}, 0, 2),
                          up = c.activation("up", {batch, sequence, features});
            c.project({swiglu(c.b, gate, up)});
          }};
}

OperationCase gelu_case(std::int64_t batch, std::int64_t sequence, std::int64_t features) {
  return {named("gelu", {batch, sequence, features}), 2, true, [=](CaseBuilder& c) {
            c.project({gelu(c.b, c.activation("u", {batch, sequence, features}, 0, 2))});
          }};
}

// With another linear behind it, whose input gradient takes that of gelu along; or read as it is. Few and small rows: narrow types round
// du before it is summed over them.
OperationCase linear_gelu_case(std::int64_t batch, std::int64_t sequence, std::int64_t in, std::int64_t middle,
                               std::int64_t out) {
  return {named(out > 0 ? "linear_gelu_linear" : "linear_gelu", {batch, sequence, in, middle}), 2, false,
          [=](CaseBuilder& c) {
            const Operand x = c.activation("x", {batch, sequence, in}, 0, 0.25);
            const auto weight = [&](const char* name, std::int64_t from, std::int64_t to) {
              return c.parameter(name, {from, to}, Use::multiplied, 0, 1 / std::sqrt(static_cast<double>(from)));
            };
            const Operand up = weight("up", in, middle), bias = c.parameter("bias", {middle}, Use::multiplied);
            const ValueId g = linear_gelu(c.b, x, up, bias);
            if (out == 0) return c.project({g});
            c.project({linear(c.b, c.b.operand(g), weight("down", middle, out), std::nullopt, c.b.compute())});
          }};
}

OperationCase dropout_case(std::int64_t batch, std::int64_t sequence, std::int64_t features, double rate) {
  return {named(rate > 0 ? "dropout_add" : "dropout_add_of_rate_0", {batch, sequence, features}), 2, true,
          [=](CaseBuilder& c) {
            const Operand branch = c.activation("branch", {batch, sequence, features});
            const Operand residual = c.activation("residual", {batch, sequence, features});
            c.project({dropout_add(c.b, branch, residual, rate)});
          }};
}

OperationCase add_case(std::int64_t batch, std::int64_t sequence, std::int64_t features) {
  return {named("add", {batch, sequence, features}), 2, true, [=](CaseBuilder& c) {
            const Operand a = c.activation("a", {batch, sequence, features}),
                          d = c.activation("b", {batch, sequence, features});
            c.project({c.b.emit(add_kind, {}, {a, d})[0]});
          }};
}

// ignored: every so manieth target does not count; 1 = none does.
OperationCase cross_entropy_case(std::int64_t batch, std::int64_t sequence, std::int64_t vocabulary,
                                 std::int64_t ignored) {
  return {named(ignored == 1 ? "cross_entropy_without_targets" : "cross_entropy", {batch, sequence, vocabulary}), 2,
          true, [=](CaseBuilder& c) {
            std::vector<double> numbers = counting_tokens(batch * sequence, vocabulary);
            for (std::size_t i = 0; i < numbers.size(); i += static_cast<std::size_t>(ignored)) numbers[i] = -1;
            const Operand targets = c.integers("targets", {batch, sequence}, std::move(numbers));
            count_tokens(c.b, c.whole_integers("targets"));
            const Operand logits = c.wide_activation("logits", {batch, sequence, vocabulary}, 0, 3);
            c.loss(cross_entropy(c.b, logits, targets));
          }};
}

struct Masking {
  const char* name;
  bool causal, padding;
  int custom;  // 0 none, 1 shared [1, 1, S, S], 2 one for each row and head
};

OperationCase attention_case(bool materialised, const Masking& masking, std::int64_t batch, std::int64_t sequence,
                             std::int64_t heads, std::int64_t width, std::int64_t kv_heads = 0) {
  if (kv_heads == 0) kv_heads = heads;
  const std::string kind = std::string(materialised ? "materialised_" : "") + (kv_heads < heads ? "grouped_" : "");
  return {named(kind + "attention_" + masking.name, {batch, sequence, heads, width}), 2, true, [=](CaseBuilder& c) {
            const std::int64_t queries = heads / kv_heads, packed = (heads + 2 * kv_heads) * width;
            const Operand qkv = c.activation("qkv", {batch, sequence, packed});
            AttentionOperands operands{qkv, qkv, qkv, {}, {}};
            std::int64_t next = 0;
            for (Operand* part : {&operands.q, &operands.k, &operands.v}) {
              const std::int64_t features = part == &operands.q ? queries * width : width;
              part->view = {.offset = next,
                            .shape = {qkv.view.shape[0], sequence, kv_heads, features},
                            .strides = {sequence * packed, packed, packed / kv_heads, 1},
                            .micro_stride = 0};
              next += features;
            }
            if (masking.padding) {  // from the full length down to none
              std::vector<double> lengths(static_cast<std::size_t>(batch));
              for (std::int64_t row = 0; row < batch; ++row)
                lengths[static_cast<std::size_t>(row)] = static_cast<double>(sequence - row * sequence / (batch - 1));
              operands.lengths = c.integers("lengths", {batch}, std::move(lengths));
            }
            if (masking.custom > 0)
              operands.mask = c.mask(
                  masking.custom == 1 ? Shape{1, 1, sequence, sequence} : Shape{batch, heads, sequence, sequence}, 0.6,
                  1);
            const double scale = 1 / std::sqrt(static_cast<double>(width));
            c.project({materialised ? materialised_attention(c.b, operands, masking.causal, scale)
                                    : attention(c.b, operands, masking.causal, scale)});
          }};
}

OperationCase copies_case(std::int64_t rows, std::int64_t features) {
  return {named("copies", {rows, features}), 2, true, [=](CaseBuilder& c) {
            const ValueId x = given(c.b, c.activation("x", {rows, features}), c.b.compute());
            const ValueId there = c.b.emit(copy_to_host_kind, {}, {c.b.operand(x)})[0];
            c.b.emit(copy_from_host_kind, {}, {c.b.operand(there)});
          }};
}

OperationCase update_case(const std::string& name, std::vector<Shape> shapes, double clip, bool scaled = false) {
  return {name, 1, true, [=](CaseBuilder& c) {
            std::vector<Operand> ins{c.b.control()};
            std::vector<Write> writes;
            std::vector<StateId> parameters;
            for (std::size_t i = 0; i < shapes.size(); ++i)
              parameters.push_back(c.parameter("p" + std::to_string(i), shapes[i], Use::exact).state());
            for (std::size_t i = 0; i < shapes.size(); ++i) {
              const std::string id = std::to_string(i);
              const std::int64_t n = shapes[i].elements();
              const StateId g = c.state("g" + id, StateKind::gradient, shapes[i], c.random(n, 0, 1), parameters[i]);
              const StateId m = c.state("m" + id, StateKind::moment, shapes[i], c.random(n, 0, 0.1), parameters[i]);
              std::vector<double> squares = c.random(n, 0, 0.1);
              for (double& v : squares) v = std::abs(v);
              const StateId v = c.state("v" + id, StateKind::moment, shapes[i], std::move(squares), parameters[i]);
              ins.push_back({Operand::Of::state, g.index, whole_view(shapes[i])});
              for (const StateId state : {parameters[i], m, v}) writes.push_back({state, Accumulate::no});
            }
            const Write results{c.b.program().results, Accumulate::no};
            if (scaled) {
              std::vector<Write> unscaled{results};
              for (std::size_t i = 1; i < ins.size(); ++i) unscaled.push_back({ins[i].state(), Accumulate::no});
              c.update(unscale_gradients_kind, {.clip = clip}, {c.b.results()}, unscaled);
            } else {
              c.update(gradient_norm_kind, {.clip = clip}, ins, {results});
            }
            ins.push_back(c.b.results());
            c.update(adam_kind,
                     {.epsilon = 1e-8, .beta1 = 0.9, .beta2 = 0.999, .weight_decay = 0.125, .skips_overflow = scaled},
                     ins, writes);
            if (scaled) c.update(update_loss_scale_kind, {.growth_interval = 1}, {c.b.results()}, {results});
          }};
}

void add_attention_cases(std::vector<OperationCase>& cases) {
  const Masking maskings[] = {{"unmasked", false, false, 0},      {"causal", true, false, 0},
                              {"padding", false, true, 0},        {"custom", false, false, 2},
                              {"shared_custom", false, false, 1}, {"causal_padding", true, true, 0},
                              {"all_masks", true, true, 2}};
  for (const bool materialised : {false, true}) {
    for (const Masking& masking : maskings) cases.push_back(attention_case(materialised, masking, 4, 5, 2, 3));
    for (const Masking& masking : maskings) cases.push_back(attention_case(materialised, masking, 4, 5, 6, 4, 2));
    cases.push_back(attention_case(materialised, maskings[5], 2, 150, 3, 16, 1));  // one key for all heads
    cases.push_back(attention_case(materialised, maskings[1], 2, 1, 1, 1));
    cases.push_back(attention_case(materialised, maskings[5], 2, 150, 2, 16));  // several blocks of queries and keys
  }
}

std::vector<OperationCase> make_cases() {
  std::vector<OperationCase> cases{
      copies_case(2, 1),
      copies_case(6, 7001),
      embedding_case(2, 1, 1, 1, 1),
      embedding_case(4, 3, 5, 11, 7),  // fewer positions than the longest sequence, repeated and absent tokens
      embedding_case(4, 40, 64, 100, 200),  // several blocks of features, several tasks
      embedding_case(2, 150, 150, 3, 9),  // each token in several pieces of sorted places
      embedding_case(2, 64, 64, 1, 8),  // one token, pieces that it fills
      linear_case(2, 1, 1, 1, false),
      linear_case(4, 5, 7, 3, false),
      linear_case(4, 5, 7, 3, true),
      table_linear_case(2, 1, 1, 1, false),
      table_linear_case(4, 5, 7, 3, true),
      table_linear_case(4, 5, 6, 6, true),  // square: only the strides tell
      table_linear_case(2, 70, 40, 301, false),  // several tiles
      linear_case(4, 75, 96, 130, false),  // several tiles
      linear_case(2, 70, 24, 136, false),  // columns in packs
      linear_by_rows_case(4, 3, 7, 5),
      linear_by_rows_case(4, 6, 64, 3),  // rows in packs
      linear_by_rows_case(4, 75, 130, 9),  // several tasks
      layer_norm_case(1, 1, 2, false),
      layer_norm_case(2, 3, 7, false),
      layer_norm_case(4, 3, 37, true),  // more than one round of lanes and a rest
      layer_norm_case(2, 130, 96, true),  // several partial sums
      layer_norm_case(2, 2, 520, true),  // packs of several warps
      linear_without_bias_case(4, 5, 7, 3),
      embedding_alone_case(4, 40, 100, 200),
      rms_norm_case(1, 1, 2, false),
      rms_norm_case(2, 3, 7, false),
      rms_norm_case(4, 3, 37, true),  // more than one round of lanes and a rest
      rms_norm_case(2, 130, 96, true),  // several partial sums
      rms_norm_case(2, 2, 520, true),  // packs of several warps
      rms_norm_case(2, 600, 8, false),  // partial sums of more than one a slice
      rms_norm_case(1, 1, 4104, true),  // a row longer than a block's registers
      qk_norm_case(2, 1, 1, 1, 2),
      qk_norm_case(2, 3, 6, 2, 7),
      qk_norm_case(4, 70, 4, 4, 33),  // several partial sums, a key for each head
      qk_norm_case(2, 3, 6, 2, 16),  // packs: two lanes a head
      qk_norm_case(2, 2, 4, 2, 64),  // eight
      qk_norm_case(2, 1, 2, 1, 256),  // a warp
      qk_norm_case(2, 2, 2, 1, 24),  // three would be no group of lanes
      rotary_case(2, 1, 1, 1, 2, {.theta = 10000}),
      rotary_case(2, 9, 6, 2, 6, {.theta = 100}),
      rotary_case(4, 150, 4, 2, 34, {.theta = 10000}),  // several tasks
      rotary_case(2, 3, 2, 1, 64, {.theta = 10000}),  // several packs
      rotary_case(2, 40, 4, 1, 16, {.theta = 500, .factor = 8, .low = 1, .high = 4, .original = 32}),
      swiglu_case(2, 1, 1),
      swiglu_case(2, 3, 7),
      swiglu_case(2, 37, 301),  // several tasks
      linear_gelu_case(2, 2, 7, 16, 0),
      linear_gelu_case(2, 2, 7, 13, 0),  // narrower than an epilogue takes
      linear_gelu_case(2, 2, 6, 24, 10),
      linear_gelu_case(2, 1, 8, 5, 4),
      gelu_case(2, 1, 1),
      gelu_case(2, 3, 7),
      gelu_case(2, 70, 301),  // several tasks
      dropout_case(2, 1, 1, 0.5),
      dropout_case(4, 3, 37, 0.25),
      dropout_case(4, 3, 280, 0.25),  // packs
      dropout_case(4, 60, 132, 0.1),  // several packs of random words, several tasks
      dropout_case(2, 3, 7, 0),
      dropout_case(2, 3, 8, 0),
      add_case(2, 3, 7),
      add_case(2, 70, 301),
      cross_entropy_case(2, 1, 1, 2),
      cross_entropy_case(4, 3, 7, 5),
      cross_entropy_case(2, 9, 2500, 4),  // several blocks of columns, several tasks
      cross_entropy_case(2, 3, 7, 1),
      update_case("update_without_clipping", {{1}, {3, 7}}, 0),
      update_case("update_with_clipping", {{150, 301}, {37}}, 1.5),
      update_case("update_with_loss_scaling", {{150, 301}, {37}}, 1.5, true),
      update_case("update_of_many_tensors", std::vector<Shape>(70, {3}),
                  1.5),  // more than two launches of a card have room for
      update_case("update_of_many_tensors_with_loss_scaling", std::vector<Shape>(70, {3}), 1.5, true),
  };
  add_attention_cases(cases);
  return cases;
}

}  // namespace

const std::vector<OperationCase>& operation_cases() {
  static const std::vector<OperationCase> cases = make_cases();
  return cases;
}

std::vector<OperationCase> operation_cases_where(bool (OperationCase::*holds)() const) {
  std::vector<OperationCase> chosen;
  for (const OperationCase& c : operation_cases())
    if ((c.*holds)()) chosen.push_back(c);
  return chosen;
}

}  // namespace stepscope::testing
