// Tensors in a file, in the format that the field exchanges weights in: 8 bytes of header length, a JSON header, the bytes.
//     write_safetensors("weights.safetensors", tensors, {{"made_by", "stepscope"}});
//     const TensorFile file = read_safetensors("weights.safetensors");
//     const NamedTensor* head = file.find("head.weight");          // null where there is none
// Types: F64 F32 BF16 F16 I32 U8; at most four axes; little-endian, row-major. Written atomically, aligned to 8 bytes and to each type.
// Reading believes nothing: whatever is wrong with a file is one UsageError that names it (and the tensor). Values are not looked at.
// Source: the format's description, github.com/huggingface/safetensors (README, section Format).
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/base/dtype.h"

namespace stepscope {

struct NamedTensor {
  std::string name;
  DType dtype = DType::fp32;
  Shape shape;
  std::vector<std::byte> bytes;  // shape.elements() * size_bytes(dtype)
  bool operator==(const NamedTensor&) const = default;
};

using Metadata = std::map<std::string, std::string>;

struct TensorFile {
  std::vector<NamedTensor> tensors;  // in the order of their bytes
  Metadata metadata;
  [[nodiscard]] const NamedTensor* find(std::string_view name) const;
};

// `check` sees the file before its tensors' bytes are read, which are empty then: what is refused by name, type or shape costs nothing.
[[nodiscard]] TensorFile read_safetensors(const std::filesystem::path& path,
                                          const std::function<void(const TensorFile&)>& check = nullptr);

// Throws ProgramError for two tensors of one name and for bytes that do not fit a shape, MachineError where the file cannot be written.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

}  // namespace stepscope
