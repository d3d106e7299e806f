#include "model/techniques/precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view values = "\"fp32\", \"bf16\", \"fp16\" or \"tf32\"";

struct Row {
  std::string_view name;
  DType compute;
  bool tf32 = false, scales_loss = false;
};
constexpr Row rows[] = {{.name = "fp32", .compute = DType::fp32},
                        {.name = "bf16", .compute = DType::bf16},
                        {.name = "fp16", .compute = DType::fp16, .scales_loss = true},
                        {.name = "tf32", .compute = DType::fp32, .tf32 = true}};

void apply(const Choice& choice, StepRecipe& recipe) {
  const std::string* name = std::get_if<std::string>(&choice);
  const Row* const row = name == nullptr ? std::end(rows) : std::ranges::find(rows, *name, &Row::name);
  if (row == std::end(rows)) throw UsageError(fmt::format("precision = {}: must be {}", to_string(choice), values));
  recipe.compute = row->compute;
  recipe.tf32 = row->tf32;
  recipe.scales_loss = row->scales_loss;
}

}  // namespace

const Technique precision_technique{"precision", std::string("fp32"), values, apply};

}  // namespace stepscope
