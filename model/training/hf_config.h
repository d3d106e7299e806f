// config.json of a Hugging Face folder: which model its weights belong to, in the spelling of transformers 4 and of 5.
//     const HfConfig config = read_hf_config("Qwen2.5-0.5B");      // reads config.json alone
//     config.model.kv_heads;                                       // 2
// GPT2LMHeadModel, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM. A field that says nothing about the numbers (tokens of a text's
// end, settings of text generation) is passed over; every other one is understood or refused by name, a field that is not known too.
// Missing fields have the values that transformers gives them; sizes must be there. Errors are UsageErrors that name file, field, value.
// Sizes are counts of elements. Source: transformers 5.24, models/{gpt2,llama,qwen2,qwen3}/configuration_*.py, modeling_rope_utils.py.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/layers/model_settings.h"

namespace stepscope {

struct HfConfig {
  std::string architecture;  // "LlamaForCausalLM"
  ModelSettings model;  // dropout 0: what a folder says of it is of its own training
  std::vector<std::string> notes;  // what was read and is not done here, one line each
};

[[nodiscard]] HfConfig read_hf_config(const std::filesystem::path& folder);

}  // namespace stepscope
