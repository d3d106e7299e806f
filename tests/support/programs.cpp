#include "tests/support/programs.h"

#include <fmt/format.h>

#include "model/layers/dense.h"
#include "model/layers/transformer.h"
#include "model/operations/cast/cast.h"
#include "model/operations/count_tokens/count_tokens.h"
#include "model/operations/cross_entropy/cross_entropy.h"
#include "model/operations/dropout_add/dropout_add.h"
#include "model/operations/embedding/embedding.h"
#include "model/operations/gelu/gelu.h"
#include "model/operations/swiglu/swiglu.h"
#include "model/program/add.h"

namespace stepscope::testing {

namespace {

StepRecipe recipe_of(const StepCase& c) {
  StepRecipe recipe;
  for (const Technique& technique : techniques()) {
    if (technique.name == "precision") technique.apply(c.precision, recipe);
    if (technique.name == "checkpointing") technique.apply(c.checkpointing, recipe);
    if (technique.name == "accumulation") technique.apply(c.accumulation, recipe);
  }
  return recipe;
}

int between(std::mt19937& random, int least, int most) { return std::uniform_int_distribution(least, most)(random); }

}  // namespace

Program forward_of(const StepCase& c) {
  const StepRecipe recipe = recipe_of(c);
  const Preset& preset = preset_named(c.preset);
  ModelSettings model = preset.model;
  model.attention = c.attention;
  model = resolved(model);
  Builder builder(recipe.compute, recipe.master);
  builder.set_batch(preset.global_batch, model.max_sequence, static_cast<int>(recipe.micro_steps));
  return build_transformer(std::move(builder), model);
}

Program step_of(const StepCase& c) {
  const Program forward = forward_of(c);
  return differentiate(forward, recipe_of(c).keep(forward));
}

Program random_forward(std::mt19937& random) {
  const bool narrow = between(random, 0, 1) == 1;
  Builder b(narrow ? DType::bf16 : DType::fp32);
  const int micro_steps = between(random, 1, 3), rows = between(random, 1, 3), sequence = between(random, 1, 9);
  const int features = between(random, 1, 40), vocabulary = between(random, 2, 30);
  b.set_batch(rows * micro_steps, sequence, micro_steps);
  Operand tokens = b.operand(b.batch_state("tokens", {DType::int32, {rows * micro_steps, sequence}}));
  Operand targets = b.operand(b.batch_state("targets", {DType::int32, {rows * micro_steps, sequence}}));
  for (Operand* batch : {&tokens, &targets})
    batch->view.shape = {rows, sequence}, batch->view.micro_stride = rows * sequence;
  const auto scope = b.scope("model", "Model");
  const Operand all_targets = b.operand(targets.state());
  count_tokens(b, all_targets);
  const Operand table = b.parameter("table", {vocabulary, features}, {}, Builder::Use::exact);
  const Operand positions = b.parameter("positions", {sequence, features}, {}, Builder::Use::exact);
  std::vector<Operand> stream{b.operand(embedding(b, tokens, table, positions))};  // all of [rows, sequence, features]
  const int count = between(random, 2, 14);
  for (int i = 0; i < count; ++i) {
    const auto any = [&] {
      return stream[static_cast<std::size_t>(between(random, 0, static_cast<int>(stream.size()) - 1))];
    };
    const std::string name = fmt::format("layer{}", i);
    switch (between(random, 0, 4)) {
      case 0: stream.push_back(dense(b, name, any(), features, {})); break;
      case 1: {
        const int inner = between(random, 1, 90);
        const Operand from = any(), wide = dense(b, name, from, inner, {}, between(random, 0, 1) == 1);
        const bool gated = between(random, 0, 1) == 1;
        const ValueId middle = gated ? swiglu(b, dense(b, name + "gate", from, inner, {}), wide) : gelu(b, wide);
        stream.push_back(dense(b, name + "back", b.operand(middle), features, {}));
        break;
      }
      case 2: {
        ModelSettings settings;
        settings.norm = between(random, 0, 1) == 1 ? "rms" : "layer";
        stream.push_back(norm(b, settings, name, any()));
        break;
      }
      case 3: {
        const auto inner = b.scope(name, "Gelu");
        stream.push_back(b.operand(gelu(b, any())));
        break;
      }
      default: {
        const auto inner = b.scope(name, "Residual");
        const Operand left = any(), right = stream.back();
        stream.push_back(left.value() == right.value() ? b.operand(gelu(b, left))
                                                       : b.operand(dropout_add(b, left, right, 0.25)));
      }
    }
  }
  // Everything made is read, so every parameter has a gradient.
  Operand sum = stream.front();
  for (std::size_t i = 1; i < stream.size(); ++i) sum = b.operand(b.emit(add_kind, {}, {sum, stream[i]})[0]);
  const bool tied = between(random, 0, 1) == 1, with_bias = between(random, 0, 1) == 1;
  const Operand logits = tied ? tied_dense(b, "head", sum, table.state(), with_bias)
                              : wide_dense(b, "head", sum, vocabulary, {}, with_bias);
  const ValueId loss = cross_entropy(b, logits, targets);
  cast_copies(b);
  return std::move(b).finish(loss, logits.value());
}

KeepSet random_keep(const Program& forward, std::mt19937& random) {
  KeepSet keep = keepable(forward);
  std::bernoulli_distribution stays(std::uniform_real_distribution(0.0, 1.0)(random));
  std::erase_if(keep, [&](ValueId) { return !stays(random); });
  return keep;
}

}  // namespace stepscope::testing
