#include <fmt/format.h>

#include <utility>

#include "model/base/error.h"
#include "model/layers/model_settings.h"

namespace stepscope {

namespace {

// GPT-2: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 2. Training as in nanoGPT's train.py
// and GPT-3's table 2.1 for the learning rates. Without dropout: these models do not see their data often enough to need it.
ModelSettings gpt2(std::int64_t layers, std::int64_t hidden, std::int64_t heads) {
  return {.layers = layers,
          .hidden = hidden,
          .heads = heads,
          .vocabulary = 50257,
          .max_sequence = 1024,
          .block_order = "attention-first",
          .tied_head = true,
          .head_bias = false,
          .norm_epsilon = 1e-5,
          .initial_deviation = 0.02};
}

Preset trained_by_adamw(std::string_view name, std::string_view about, ModelSettings model, double learning_rate,
                        std::int64_t sequence = 0) {
  return {.name = name,
          .about = about,
          .model = std::move(model),
          .global_batch = 8,
          .schedule = "cosine",
          .learning_rate = learning_rate,
          .learning_rate_warmup = 100,
          .optimizer = "adamw",
          .beta2 = 0.95,
          .clip = 1,
          .sequence = sequence};
}

ModelSettings gpt2_tiny() {
  ModelSettings model = gpt2(2, 48, 3);
  model.vocabulary = 256, model.max_sequence = 32;
  return model;
}

// What Llama 3, Qwen2.5 and Qwen3 share. Sizes are those of the config.json that each model is published with on huggingface.co, as are
// max_sequence, rope and norm_epsilon. A row is 1,024 tokens, as for GPT-2, so that all of them compare; learning rates are Llama 3.1's of
// 8B (Dubey et al. 2024, arXiv:2407.21783, table 3).
ModelSettings gated(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t mlp_hidden) {
  return {.layers = layers,
          .hidden = hidden,
          .heads = heads,
          .kv_heads = kv_heads,
          .mlp_hidden = mlp_hidden,
          .block_order = "attention-first",
          .head_bias = false,
          .norm = "rms",
          .activation = "swiglu",
          .positions = "rotary",
          .qkv_bias = false,
          .out_bias = false,
          .mlp_bias = false,
          .initial_deviation = 0.02};
}

constexpr std::int64_t gated_row = 1024;  // tokens

ModelSettings qwen2_5(std::int64_t layers, std::int64_t hidden, std::int64_t heads, std::int64_t mlp_hidden) {
  ModelSettings model = gated(layers, hidden, heads, 2, mlp_hidden);
  model.vocabulary = 151936, model.max_sequence = 32768;
  model.tied_head = model.qkv_bias = true;
  model.rope_theta = 1e6;
  return model;
}

ModelSettings qwen3_0_6b() {
  ModelSettings model = gated(28, 1024, 16, 8, 3072);
  model.head_dim = 128, model.vocabulary = 151936, model.max_sequence = 40960;
  model.tied_head = model.qk_norm = true;
  model.rope_theta = 1e6;
  return model;
}

ModelSettings qwen3_tiny() {  // a head wider than hidden / heads
  ModelSettings model = gated(2, 40, 4, 2, 68);
  model.head_dim = 14, model.vocabulary = 256, model.max_sequence = 32;
  model.tied_head = model.qk_norm = true;
  return model;
}

ModelSettings llama3(ModelSettings model, double factor) {
  model.vocabulary = 128256, model.max_sequence = 131072;
  model.norm_epsilon = 1e-5;
  model.rope_theta = 5e5;
  model.rope_scaling = "llama3", model.rope_factor = factor;
  return model;
}

ModelSettings llama3_2_1b() {
  ModelSettings model = llama3(gated(16, 2048, 32, 8, 8192), 32);
  model.tied_head = true;
  return model;
}

ModelSettings llama_tiny() {  // of its wavelengths one stays, one goes over and two are stretched
  ModelSettings model = llama3(gated(2, 48, 6, 2, 76), 8);
  model.vocabulary = 256, model.max_sequence = 32;
  model.rope_theta = 500, model.rope_original_sequence = 32;
  return model;
}

}  // namespace

std::span<const Preset> presets() {
  static const Preset rows[] = {
      {"seed",
       "the tutorial's transformer: 155,877,376 parameters, batch 64 x 512 tokens",
       {.layers = 12, .hidden = 1024, .heads = 8, .vocabulary = 2048, .max_sequence = 512, .dropout = 0.1},
       64,
       "seed",
       4e-4,
       10},
      {"seed-small",
       "the seed's shape at 3,323,648 parameters, batch 8 x 128 bytes: trains on a laptop",
       {.layers = 4, .hidden = 256, .heads = 4, .vocabulary = 256, .max_sequence = 128, .dropout = 0.1},
       8,
       "cosine",
       1e-3,
       20},
      {"tiny",
       "two layers of 64 features, batch 8 x 32 bytes: for tests and a first look",
       {.layers = 2, .hidden = 64, .heads = 2, .vocabulary = 256, .max_sequence = 32, .dropout = 0.1},
       8,
       "cosine",
       1e-3,
       20},
      trained_by_adamw("gpt2-tiny", "GPT-2's shape in two layers of 48 features, batch 8 x 32 bytes: for tests",
                       gpt2_tiny(), 1e-3),
      trained_by_adamw("gpt2-124m", "GPT-2: 124,439,808 parameters, batch 8 x 1,024 tokens", gpt2(12, 768, 12), 6e-4),
      trained_by_adamw("gpt2-355m", "GPT-2 medium: 354,823,168 parameters", gpt2(24, 1024, 16), 3e-4),
      trained_by_adamw("gpt2-774m", "GPT-2 large: 774,030,080 parameters", gpt2(36, 1280, 20), 2.5e-4),
      trained_by_adamw("gpt2-1558m", "GPT-2 XL: 1,557,611,200 parameters", gpt2(48, 1600, 25), 2e-4),
      trained_by_adamw("qwen3-tiny", "Qwen3's shape in two layers of 40 features, batch 8 x 32 bytes: for tests",
                       qwen3_tiny(), 1e-3),
      trained_by_adamw("llama-tiny", "Llama 3's shape in two layers of 48 features, batch 8 x 32 bytes: for tests",
                       llama_tiny(), 1e-3),
      trained_by_adamw("qwen2.5-0.5b", "Qwen2.5: 494,032,768 parameters, batch 8 x 1,024 tokens",
                       qwen2_5(24, 896, 14, 4864), 3e-4, gated_row),
      trained_by_adamw("qwen2.5-1.5b", "Qwen2.5: 1,543,714,304 parameters, batch 8 x 1,024 tokens",
                       qwen2_5(28, 1536, 12, 8960), 3e-4, gated_row),
      trained_by_adamw("qwen3-0.6b", "Qwen3: 596,049,920 parameters, batch 8 x 1,024 tokens", qwen3_0_6b(), 3e-4,
                       gated_row),
      trained_by_adamw("llama-3.2-1b", "Llama 3.2: 1,235,814,400 parameters, batch 8 x 1,024 tokens", llama3_2_1b(),
                       3e-4, gated_row),
      trained_by_adamw("llama-3.1-8b", "Llama 3.1: 8,030,261,248 parameters, batch 8 x 1,024 tokens",
                       llama3(gated(32, 4096, 32, 8, 14336), 8), 3e-4, gated_row),
  };
  return rows;
}

const Preset& preset_named(std::string_view name) {
  std::string known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) return preset;
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  throw UsageError(fmt::format("model.preset = \"{}\": must be one of {}", name, known));
}

}  // namespace stepscope
