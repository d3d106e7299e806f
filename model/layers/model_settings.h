// The architecture of a model: what a preset fixes and a matrix file may override. Sizes are counts of elements.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stepscope {

struct ModelSettings {
  std::int64_t layers = 0;
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  // 0: heads; else heads / kv_heads queries share a key and a value
  std::int64_t head_dim = 0;  // 0: hidden / heads
  std::int64_t mlp_hidden = 0;  // 0: 4 hidden
  std::int64_t vocabulary = 0;
  std::int64_t max_sequence = 0;
  double dropout = 0;  // share of each block's output that is dropped
  std::string block_order = "mlp-first";  // or "attention-first"
  bool tied_head = false;  // logits from the embedding: one parameter for both
  bool head_bias = true;
  std::string norm = "layer";  // or "rms"
  double norm_epsilon = 1e-6;
  std::string activation = "gelu";  // or "swiglu": a second matrix beside the MLP's first, its gate
  std::string positions = "learned";  // or "rotary": queries and keys are turned, no parameter
  double rope_theta = 10000;  // base of the rotary wavelengths
  std::string rope_scaling = "none";  // or "llama3": wavelengths stretched by the four fields that follow
  double rope_factor = 8;
  double rope_low_frequency = 1;
  double rope_high_frequency = 4;
  std::int64_t rope_original_sequence = 8192;  // tokens
  bool qkv_bias = true;
  bool out_bias = true;  // of the attention's last Dense
  bool mlp_bias = true;
  bool qk_norm = false;  // an rms norm over the head_dim features of each query and key
  double initial_deviation = 0;  // of weights, embedding and positions; 0: by width, lecun-normal and 1 / sqrt(hidden)
  std::string attention = "fused";  // or "materialised"
  std::string softmax_precision = "fp32";  // what attention's probabilities are rounded to: a floating type's name
  std::vector<std::string> mask = {"causal"};  // "causal", "padding", "custom:FILE"; they combine by and
  bool operator==(const ModelSettings&) const = default;
};

// Fills in the derived fields that are 0. Throws UsageError "model.FIELD = VALUE: what would be right" for an impossible model.
[[nodiscard]] ModelSettings resolved(ModelSettings settings);

[[nodiscard]] std::int64_t parameter_count(const ModelSettings& settings);

struct Preset {
  std::string_view name;
  std::string_view about;  // one line for --help
  ModelSettings model;
  std::int64_t global_batch;
  std::string_view schedule;  // "seed" or "cosine"
  double learning_rate;
  std::int64_t learning_rate_warmup;  // steps
  std::string_view optimizer = "adam";
  double beta2 = 0.999;  // of the optimizer
  double clip = 0;  // largest gradient norm; 0: no clipping
  std::int64_t sequence = 0;  // tokens of a row; 0: max_sequence
};

[[nodiscard]] std::span<const Preset> presets();
[[nodiscard]] const Preset& preset_named(std::string_view name);  // throws UsageError that lists the names

}  // namespace stepscope
