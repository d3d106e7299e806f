#include "model/techniques/residual_precision.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "\"compute\" or \"fp32\": type of the residual stream";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string* name = std::get_if<std::string>(&choice);
  if (name == nullptr || (*name != "compute" && *name != "fp32"))
    throw UsageError(fmt::format("residual_precision = {}: must be {}", to_string(choice), values));
  recipe.wide_residual = *name == "fp32";
}

}  // namespace

const Technique residual_precision_technique{"residual_precision", std::string("compute"), values, apply};

}  // namespace stepscope
