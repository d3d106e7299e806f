#include "model/techniques/precision.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "\"fp32\" or \"bf16\"";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string* name = std::get_if<std::string>(&choice);
  if (name != nullptr && *name == "fp32")
    recipe.compute = DType::fp32;
  else if (name != nullptr && *name == "bf16")
    recipe.compute = DType::bf16;
  else
    throw UsageError(fmt::format("precision = {}: must be {}", to_string(choice), values));
}

}  // namespace

const Technique precision_technique{"precision", std::string("fp32"), values, apply};

}  // namespace stepscope
