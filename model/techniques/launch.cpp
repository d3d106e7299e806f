#include "model/techniques/launch.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "graph or eager";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string value = to_string(choice);
  if (value != "graph" && value != "eager") throw UsageError(fmt::format("launch = {}: must be {}", value, values));
  recipe.eager = value == "eager";
}

}  // namespace

const Technique launch_technique{"launch", std::string("graph"), values, apply, true};

}  // namespace stepscope
