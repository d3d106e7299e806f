// The weights of a Hugging Face folder, read into the parameters of a program: model.safetensors, or the files that
// model.safetensors.index.json names. F32, BF16 and F16 become fp32 exactly.
//     load_hf_weights(program, executor, "Qwen2.5-0.5B", model);       // one tensor at a time: the files may be as large as memory
// Every tensor of the model must be there in its shape with finite elements, and no other one; nothing is written before all names and
// shapes are known to be right. Errors are UsageErrors of one line: file, tensor, what is needed.
#pragma once

#include <filesystem>
#include <vector>

#include "model/execution/executor.h"
#include "model/layers/model_settings.h"

namespace stepscope {

// Names, types and shapes of the files against the model, before long work: planning what a wrong config.json claims may take minutes.
void check_hf_weights(const std::filesystem::path& folder, const ModelSettings& model);

// `model` is the one that the program was built from.
void load_hf_weights(const Program& program, Executor& executor, const std::filesystem::path& folder,
                     const ModelSettings& model);

// The files that hold the weights, whose bytes decide what is computed.
[[nodiscard]] std::vector<std::filesystem::path> hf_weight_files(const std::filesystem::path& folder);

}  // namespace stepscope
