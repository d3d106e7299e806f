// Which tensors of a Hugging Face folder make up a parameter of ours, and where each of their elements lies in it.
//     for (const HfPiece& piece : hf_pieces_of("blocks.0.attention.qkv.weight", model)) piece.copy_in(theirs, ours);
// A parameter is rows of features: a matrix has a row for each feature that it reads (ours is [in, out]), a vector is one row.
// Theirs are the same, or transposed where they come from torch's Linear ([out, in]); GPT-2's Conv1D is [in, out].
// Our packed queries, keys and values run key head by key head: its queries, its key, its value; theirs are three tensors, or three
// thirds of GPT-2's c_attn. Norms before and after attention belong to the two halves of our block.
// Source: transformers 5.24, models/{gpt2,llama,qwen3}/modeling_*.py.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/base/dtype.h"
#include "model/layers/model_settings.h"

namespace stepscope {

struct HfPiece {
  struct Run {
    std::int64_t ours = 0, theirs = 0, count = 0;  // features
  };

  std::string tensor = {};  // "model.layers.0.self_attn.q_proj.weight"
  Shape shape = {};  // of theirs
  bool transposed = false;
  std::int64_t rows = 1;
  std::int64_t our_width = 0;  // features of a whole row of ours
  std::vector<Run> runs = {};

  void copy_in(std::span<const float> theirs, std::span<float> ours) const;
  void copy_out(std::span<const float> ours, std::span<float> theirs) const;
};

// `model` is resolved; `parameter` one of its names. UsageError where no tensor there says the same, as for a head's bias.
[[nodiscard]] std::vector<HfPiece> hf_pieces_of(std::string_view parameter, const ModelSettings& model);

// What older versions of transformers wrote beside a model's tensors and all versions pass over: masks and tables that follow from
// config.json. `tensor` with its outer module.
[[nodiscard]] bool is_hf_constant(std::string_view tensor, const ModelSettings& model);

// The names of a folder that was saved without its outer module begin further in: "h.0.ln_1.weight".
[[nodiscard]] std::string_view hf_prefix_of(const ModelSettings& model);  // "transformer." or "model."

}  // namespace stepscope
