#include "harness/numerics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/base/error.h"
#include "model/base/hash.h"
#include "model/base/tolerance.h"
#include "model/execution/read_floats.h"
#include "model/training/safetensors.h"

namespace stepscope {

namespace {

// SplitMix64's finaliser (Steele, Lea, Flood 2014): all bits of the result depend on all of the argument.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

double distance(const GradientSketch& a, const GradientSketch& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.buckets.size(); ++i) {
    const double difference = static_cast<double>(a.buckets[i]) - static_cast<double>(b.buckets[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double relative(double difference, double scale) {
  if (difference == 0) return 0;
  return difference / scale;  // infinite where something stands against nothing, NaN stays NaN
}

NamedTensor tensor_of(std::string name, std::span<const float> numbers) {
  NamedTensor tensor{
      .name = std::move(name), .dtype = DType::fp32, .shape = {static_cast<std::int64_t>(numbers.size())}, .bytes = {}};
  const std::span<const std::byte> bytes = std::as_bytes(numbers);
  tensor.bytes.assign(bytes.begin(), bytes.end());
  return tensor;
}

}  // namespace

GradientSketch sketch_of(const std::string& parameter, std::span<const float> gradient) {
  std::vector<double> buckets(sketch_buckets);
  GradientSketch sketch{
      .parameter = parameter, .norm = 0, .sum = 0, .hash = hash_of(std::as_bytes(gradient)), .buckets = {}};
  const std::uint64_t key = hash_of(parameter);
  double squares = 0;
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double element = static_cast<double>(gradient[i]);
    const std::uint64_t random = mixed(key + i * 0x9e3779b97f4a7c15u);
    buckets[random % sketch_buckets] += (random >> 63) != 0 ? -element : element;
    sketch.sum += element;
    squares += element * element;
  }
  sketch.norm = std::sqrt(squares);
  sketch.buckets.assign(buckets.begin(), buckets.end());
  return sketch;
}

StepNumerics numerics_of(const Program& program, const Executor& executor, double loss) {
  StepNumerics numerics{.loss = loss, .gradients = {}};
  for (const StateId parameter : program.states_of(StateKind::parameter)) {
    const StateId gradient = program.belonging_to(parameter, StateKind::gradient);
    const std::vector<float> elements = read_floats(executor, program, gradient);
    numerics.gradients.push_back(sketch_of(program.state(parameter).name, elements));
  }
  return numerics;
}

void write_numerics(const std::filesystem::path& file, const StepNumerics& numerics) {
  std::vector<NamedTensor> tensors;
  Metadata metadata{{"schema", "stepscope.numerics/1"}, {"loss", fmt::format("{:a}", numerics.loss)}};
  std::string names;
  for (const GradientSketch& gradient : numerics.gradients) {
    tensors.push_back(tensor_of("sketch." + gradient.parameter, gradient.buckets));
    metadata["gradient." + gradient.parameter] =
        fmt::format("{:a} {:a} {}", gradient.norm, gradient.sum, hexadecimal(gradient.hash));
  }
  write_safetensors(file, tensors, metadata);
}

StepNumerics read_numerics(const std::filesystem::path& file) {
  const TensorFile tensors = read_safetensors(file);
  const auto refuse = [&](const std::string& what) -> UsageError {
    return UsageError(fmt::format("{}: {}", file.string(), what));
  };
  const auto schema = tensors.metadata.find("schema");
  if (schema == tensors.metadata.end() || schema->second != "stepscope.numerics/1")
    throw refuse("not of schema stepscope.numerics/1");
  StepNumerics numerics;
  const auto loss = tensors.metadata.find("loss");
  if (loss == tensors.metadata.end()) throw refuse("its loss is missing");
  numerics.loss = std::strtod(loss->second.c_str(), nullptr);
  for (const NamedTensor& tensor : tensors.tensors) {
    GradientSketch gradient{
        .parameter = tensor.name.substr(tensor.name.find('.') + 1), .norm = 0, .sum = 0, .hash = 0, .buckets = {}};
    const auto entry = tensors.metadata.find("gradient." + gradient.parameter);
    if (entry == tensors.metadata.end() || tensor.shape != Shape{sketch_buckets})
      throw refuse(tensor.name + " is not a sketch");
    char* end = nullptr;
    gradient.norm = std::strtod(entry->second.c_str(), &end);
    gradient.sum = std::strtod(end, &end);
    gradient.hash = std::strtoull(end, nullptr, 16);
    gradient.buckets.resize(sketch_buckets);
    std::memcpy(gradient.buckets.data(), tensor.bytes.data(), tensor.bytes.size());
    numerics.gradients.push_back(std::move(gradient));
  }
  return numerics;
}

VisitNumerics summary_of(const StepNumerics& numerics, const std::string& arithmetic) {
  VisitNumerics summary;
  summary.loss = numerics.loss;
  summary.arithmetic = arithmetic;
  for (const GradientSketch& gradient : numerics.gradients)
    summary.gradients.push_back({gradient.parameter, gradient.norm, gradient.sum, hexadecimal(gradient.hash)});
  return summary;
}

NumericsErrors compare(const StepNumerics& cell, const StepNumerics& reference) {
  if (cell.gradients.size() != reference.gradients.size())
    throw UsageError("the cell and its reference have different parameters");
  NumericsErrors errors{
      .loss = relative(std::fabs(cell.loss - reference.loss), std::fabs(reference.loss)), .gradient = 0, .worst = {}};
  for (std::size_t i = 0; i < cell.gradients.size(); ++i) {
    const GradientSketch &a = cell.gradients[i], &b = reference.gradients[i];
    if (a.parameter != b.parameter) throw UsageError("the cell and its reference have different parameters");
    const double error = a.hash == b.hash ? 0 : relative(distance(a, b), b.norm);
    if (errors.worst.empty() || !(error <= errors.gradient))
      errors.gradient = error, errors.worst = a.parameter;  // NaN stays
    if (std::isnan(errors.gradient)) break;
  }
  return errors;
}

NumericsLimits limits_of(const Configuration& configuration) {
  const StepRecipe recipe = recipe_of(configuration);
  double loosest = tolerance(recipe.compute).relative;
  if (recipe.gradient) loosest = std::max(loosest, tolerance(*recipe.gradient).relative);
  loosest = std::max(loosest, tolerance(dtype_named(configuration.model.softmax_precision).value()).relative);
  // The table is for one layer; rounding errors of more add up like steps of a random walk (Higham 2002, section 2.8).
  return {.loss = loosest, .gradient = loosest * std::sqrt(static_cast<double>(configuration.model.layers))};
}

}  // namespace stepscope
