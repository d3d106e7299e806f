// The parameters of a program as a Hugging Face folder: config.json and model.safetensors (fp32), which transformers 4 and 5 load and
// which `--hf` reads back to the same bits.
//     require_exportable(model, "out/my-model");                  // before long work: the architecture, and the place
//     export_hf(program, executor, model, "out/my-model");
// The folder appears whole or not at all; an export that was there before stays until the new one is whole, and anything else is
// never replaced. UsageError where no architecture there can express the model ("model.FIELD = VALUE: ...") or the place is taken;
// MachineError where it cannot be written; FailedCheck where a parameter is not finite, which nobody would read.
#pragma once

#include <filesystem>
#include <string>

#include "model/execution/executor.h"
#include "model/layers/model_settings.h"

namespace stepscope {

[[nodiscard]] std::string hf_architecture_of(const ModelSettings& model);  // resolved; "LlamaForCausalLM"

void require_exportable(const ModelSettings& model, const std::filesystem::path& folder);

void export_hf(const Program& program, const Executor& executor, const ModelSettings& model,
               const std::filesystem::path& folder);

}  // namespace stepscope
