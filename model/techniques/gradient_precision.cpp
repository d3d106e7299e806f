#include "model/techniques/gradient_precision.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "\"fp32\" or \"bf16\": of the gradients of matrices";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string* name = std::get_if<std::string>(&choice);
  if (name == nullptr || (*name != "fp32" && *name != "bf16"))
    throw UsageError(fmt::format("gradient_precision = {}: must be {}", to_string(choice), values));
  recipe.gradient.reset();
  if (*name == "bf16") recipe.gradient = DType::bf16;
}

}  // namespace

const Technique gradient_precision_technique{"gradient_precision", std::string("fp32"), values, apply};

}  // namespace stepscope
