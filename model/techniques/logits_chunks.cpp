#include "model/techniques/logits_chunks.h"

#include <fmt/format.h>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values =
    "a whole number from 1: chunks of rows in which logits exist; or \"auto\", beside a budget of checkpointing";

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string* word = std::get_if<std::string>(&choice);
  if (word != nullptr && *word == "auto") {
    recipe.logits_chunks = 0;
    return;
  }
  const std::int64_t* count = std::get_if<std::int64_t>(&choice);
  if (count == nullptr || *count < 1)
    throw UsageError(fmt::format("logits_chunks = {}: must be {}", to_string(choice), values));
  recipe.logits_chunks = *count;
}

}  // namespace

const Technique logits_chunks_technique{"logits_chunks", std::int64_t{1}, values, apply};

}  // namespace stepscope
