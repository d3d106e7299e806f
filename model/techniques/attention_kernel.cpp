#include "model/techniques/attention_kernel.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "own, or cudnn: NVIDIA's, on cards";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string value = to_string(choice);
  if (value != "own" && value != "cudnn")
    throw UsageError(fmt::format("attention_kernel = {}: must be {}", value, values));
  recipe.library_attention = value == "cudnn";
}

}  // namespace

const Technique attention_kernel_technique{"attention_kernel", std::string("own"), values, apply, true};

}  // namespace stepscope
