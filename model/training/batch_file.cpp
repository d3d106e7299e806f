#include "model/training/batch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/base/error.h"

namespace stepscope {

namespace {

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& what) {
  throw UsageError(fmt::format("{}: {}", path.string(), what));
}

std::string described(const NamedTensor& tensor) {
  return fmt::format("{}{}", name_of(tensor.dtype), to_string(tensor.shape));
}

template <class T>
std::vector<T> elements(const NamedTensor& tensor) {
  std::vector<T> list(static_cast<std::size_t>(tensor.shape.elements()));
  std::memcpy(list.data(), tensor.bytes.data(), tensor.bytes.size());
  return list;
}

void check_rows(const std::filesystem::path& path, const TensorFile& file, const char* name, const Shape& expected) {
  const NamedTensor* tensor = file.find(name);
  if (tensor == nullptr) refuse(path, fmt::format("{} is missing: int32 [rows, sequence] is needed", name));
  const bool any_shape = expected.rank() == 0 && tensor->shape.rank() == 2 && tensor->shape.elements() > 0;
  if (tensor->dtype != DType::int32 || (tensor->shape != expected && !any_shape)) {
    refuse(path, fmt::format("{} is {}: int32 {} is needed", name, described(*tensor),
                             expected.rank() == 0 ? "[rows, sequence]" : to_string(expected)));
  }
}

void check_mask_type(const std::filesystem::path& path, const NamedTensor& mask) {
  const bool square = mask.shape.rank() == 4 && mask.shape[2] == mask.shape[3] && mask.shape.elements() > 0;
  if (mask.dtype != DType::u8 || !square)
    refuse(path, fmt::format("mask is {}: u8 [rows or 1, heads or 1, S, S] is needed", described(mask)));
}

void check_mask(const std::filesystem::path& path, const NamedTensor& mask) {
  for (const std::byte b : mask.bytes)
    if (b > std::byte{1}) refuse(path, fmt::format("mask = {}: 1 (visible) or 0 is needed", std::to_integer<int>(b)));
}

// Targets past a row's length do not count.
void apply_lengths(const BatchFile& file, std::vector<std::int32_t>& targets) {
  for (std::int64_t row = 0; row < file.rows; ++row) {
    const std::int64_t length = file.batch.lengths[static_cast<std::size_t>(row)];
    if (length < 0 || length > file.sequence)
      refuse(file.path, fmt::format("lengths[{}] = {}: from 0 to {} is needed", row, length, file.sequence));
    for (std::int64_t j = length; j < file.sequence; ++j)
      targets[static_cast<std::size_t>(row * file.sequence + j)] = -1;
  }
}

void check_range(const BatchFile& file, const char* name, const std::vector<std::int32_t>& list, std::int32_t least,
                 std::int64_t vocabulary) {
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i] >= least && list[i] < vocabulary) continue;
    const std::int64_t row = static_cast<std::int64_t>(i) / file.sequence,
                       column = static_cast<std::int64_t>(i) % file.sequence;
    refuse(file.path, fmt::format("{}[{},{}] = {}: from {} to {} is needed (model.vocabulary = {})", name, row, column,
                                  list[i], least, vocabulary - 1, vocabulary));
  }
}

void check_weight_type(const std::filesystem::path& path, const NamedTensor& tensor, const State& state) {
  if (tensor.dtype != state.type.dtype || tensor.shape != state.type.shape) {
    refuse(path, fmt::format("{} is {}: {}{} is needed", tensor.name, described(tensor), name_of(state.type.dtype),
                             to_string(state.type.shape)));
  }
}

void check_weight(const std::filesystem::path& path, const NamedTensor& tensor) {
  const std::vector<float> list = elements<float>(tensor);
  const auto bad = std::find_if(list.begin(), list.end(), [](float x) { return !std::isfinite(x); });
  if (bad != list.end())
    refuse(path, fmt::format("{}: element {} is {}: finite numbers are needed", tensor.name, bad - list.begin(), *bad));
}

// Names, types and shapes.
void check_batch_header(const std::filesystem::path& path, const TensorFile& tensors) {
  for (const NamedTensor& tensor : tensors.tensors) {
    const bool known =
        tensor.name == "tokens" || tensor.name == "targets" || tensor.name == "lengths" || tensor.name == "mask";
    if (!known) refuse(path, fmt::format("{} is not known: a batch has tokens, targets, lengths, mask", tensor.name));
  }
  check_rows(path, tensors, "tokens", {});
  const Shape shape = tensors.find("tokens")->shape;
  check_rows(path, tensors, "targets", shape);
  if (tensors.find("lengths") != nullptr) check_rows(path, tensors, "lengths", {shape[0]});
  if (const NamedTensor* mask = tensors.find("mask")) check_mask_type(path, *mask);
}

void check_weights_header(const std::filesystem::path& path, const TensorFile& file, const Program& program) {
  for (const NamedTensor& tensor : file.tensors) {
    const StateId id = program.find_state(tensor.name);
    if (id.index < 0 || program.state(id).kind != StateKind::parameter)
      refuse(path, fmt::format("{}: the model has no such parameter", tensor.name));
  }
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const NamedTensor* tensor = file.find(program.state(id).name);
    if (tensor == nullptr)
      refuse(path, fmt::format("{} is missing: {} is needed", program.state(id).name,
                               to_string(program.state(id).type.shape)));
    check_weight_type(path, *tensor, program.state(id));
  }
}

}  // namespace

BatchFile read_batch_file(const std::filesystem::path& path) {
  const TensorFile tensors =
      read_safetensors(path, [&](const TensorFile& header) { check_batch_header(path, header); });
  BatchFile file{.path = path.string()};
  file.batch.tokens = elements<std::int32_t>(*tensors.find("tokens"));
  const Shape shape = tensors.find("tokens")->shape;
  file.rows = shape[0];
  file.sequence = shape[1];
  file.batch.targets = elements<std::int32_t>(*tensors.find("targets"));
  if (const NamedTensor* lengths = tensors.find("lengths")) {
    file.batch.lengths = elements<std::int32_t>(*lengths);
    apply_lengths(file, file.batch.targets);
  }
  if (const NamedTensor* mask = tensors.find("mask")) {
    check_mask(path, *mask);
    file.mask = *mask;
  }
  const bool any =
      std::any_of(file.batch.targets.begin(), file.batch.targets.end(), [](std::int32_t t) { return t != -1; });
  if (!any) refuse(path, "targets: every one is ignored; at least one that counts is needed");
  return file;
}

NamedTensor read_mask_file(const std::filesystem::path& path) {
  const TensorFile tensors = read_safetensors(path, [&](const TensorFile& header) {
    const NamedTensor* mask = header.find("mask");
    if (mask == nullptr) refuse(path, "mask is missing: u8 [rows or 1, heads or 1, S, S] is needed");
    check_mask_type(path, *mask);
  });
  check_mask(path, *tensors.find("mask"));
  return *tensors.find("mask");
}

GivenBatch::GivenBatch(const BatchFile& file, std::int64_t vocabulary) : batch_(file.batch), vocabulary_(vocabulary) {
  check_range(file, "tokens", batch_.tokens, 0, vocabulary);
  check_range(file, "targets", batch_.targets, -1, vocabulary);
}

void load_weights(const Program& program, Executor& executor, const std::filesystem::path& path) {
  const TensorFile file =
      read_safetensors(path, [&](const TensorFile& header) { check_weights_header(path, header, program); });
  for (const NamedTensor& tensor : file.tensors) check_weight(path, tensor);  // all, before one is written
  for (const StateId id : program.states_of(StateKind::parameter))
    executor.write(id, file.find(program.state(id).name)->bytes);
}

}  // namespace stepscope
