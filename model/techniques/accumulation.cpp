#include "model/techniques/accumulation.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "a whole number from 1 that divides global_batch";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::int64_t* count = std::get_if<std::int64_t>(&choice);
  if (count == nullptr || *count < 1)
    throw UsageError(fmt::format("accumulation = {}: must be {}", to_string(choice), values));
  recipe.micro_steps = *count;
}

}  // namespace

const Technique accumulation_technique{"accumulation", std::int64_t{1}, values, apply};

}  // namespace stepscope
