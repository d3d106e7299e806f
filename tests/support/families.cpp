#include "tests/support/families.h"

#include <fmt/format.h>

namespace stepscope::testing {

namespace {

// Odd widths, no two extents alike, so that a stride taken for another shows; a head is as wide as the family has it or wider.
void scale_down(ModelSettings& m) {
  const bool own_width = m.head_dim != 0 && m.head_dim * m.heads != m.hidden;
  const bool shared_keys = m.kv_heads != 0 && m.kv_heads != m.heads, one_key = m.kv_heads == 1;
  m.layers = 2, m.heads = shared_keys ? 4 : 3;
  m.kv_heads = one_key ? 1 : shared_keys ? 2 : 0;
  m.hidden = m.heads == 4 ? 24 : 21;
  m.head_dim = own_width ? 10 : 0;
  m.mlp_hidden = 26, m.vocabulary = 31, m.max_sequence = 11;
  m.rope_theta = 50, m.rope_original_sequence = 16;
  m.dropout = 0.1;
}

StepSetting combined(const Family& family, const char* precision, const char* attention, const Masks& mask) {
  StepSetting setting{.preset = family.preset, .precision = precision, .micro_steps = 2, .threads = 2};
  setting.name = fmt::format("{} {} {} {}", family.name, precision, attention, mask.name);
  setting.change_model = [=](ModelSettings& m) {
    family.change(m);
    scale_down(m);
    m.attention = attention;
  };
  if (setting.precision == "fp16")  // gradients of few tokens are large
    setting.change_training = [](TrainingSettings& t) { t.loss_scale = 1024; };
  setting.mask = mask.kinds;
  setting.global_batch = 4, setting.sequence = 9;
  return setting;
}

}  // namespace

std::span<const Family> families() {
  static const Family list[] = {
      {"seed", "seed"},
      {"gpt2", "gpt2-124m"},
      {"llama", "llama-3.1-8b"},
      {"llama_tied", "llama-3.2-1b"},
      {"llama_biases", "llama-3.1-8b",
       [](ModelSettings& m) { m.qkv_bias = m.out_bias = m.mlp_bias = true, m.kv_heads = 1, m.rope_scaling = "none"; }},
      {"qwen2", "qwen2.5-0.5b"},
      {"qwen3", "qwen3-0.6b"},
  };
  return list;
}

std::span<const Masks> masks() {
  static const Masks list[] = {{"causal", {"causal"}},
                               {"padding", {"padding"}},
                               {"custom", {"custom"}},
                               {"all_masks", {"causal", "padding", "custom"}},
                               {"no_mask", {}}};
  return list;
}

StepSetting small_step(const Family& family, const char* precision, const char* attention, const Masks& mask) {
  return combined(family, precision, attention, mask);
}

std::vector<StepSetting> every_small_step(std::span<const char* const> in) {
  std::vector<StepSetting> list;
  for (const Family& family : families())
    for (const char* precision : in)
      for (const char* attention : attentions)
        for (const Masks& mask : masks()) list.push_back(combined(family, precision, attention, mask));
  return list;
}

std::vector<StepSetting> small_steps(std::span<const char* const> in) {
  std::vector<StepSetting> list;
  std::size_t turn = 0;
  for (const Family& family : families()) {
    for (const char* precision : in) {
      list.push_back(
          combined(family, precision, attentions[turn % std::size(attentions)], masks()[turn % masks().size()]));
      ++turn;
    }
    ++turn;  // a family begins with another kind than the one before
  }
  return list;
}

}  // namespace stepscope::testing
