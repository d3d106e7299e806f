// A small Hugging Face folder of random weights, beside the same weights in our names and layout. Written from what transformers' modules
// compute (torch's Linear is [out, in], GPT-2's Conv1D [in, out]) and from nothing of the code that reads folders.
//     const HfFolder made = random_hf_folder("Qwen3ForCausalLM", 7);
//     made.write(folder);                                            // config.json, model.safetensors
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/training/safetensors.h"

namespace stepscope::testing {

inline constexpr const char* hf_architectures[] = {"GPT2LMHeadModel", "LlamaForCausalLM", "Qwen2ForCausalLM",
                                                   "Qwen3ForCausalLM"};

struct HfFolder {
  nlohmann::ordered_json config;
  std::vector<NamedTensor> theirs, ours;

  void write(const std::filesystem::path& folder) const;
  void write_sharded(const std::filesystem::path& folder, std::size_t files) const;
  [[nodiscard]] NamedTensor& tensor(const std::string& name);  // of theirs
};

// Two layers, grouped keys where the architecture has them; Qwen3 has heads wider than hidden / heads. A tied one lacks a head.
HfFolder random_hf_folder(const std::string& architecture, std::uint32_t seed, bool tied = false);

std::vector<float> floats_of(const NamedTensor& tensor);

}  // namespace stepscope::testing
