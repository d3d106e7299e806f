// Tensors in a file, in the format that the field exchanges weights in: 8 bytes of header length, a JSON header, the bytes.
//     write_safetensors("weights.safetensors", tensors, {{"made_by", "stepscope"}});
//     const TensorFile file = read_safetensors("weights.safetensors");
//     const NamedTensor* head = file.find("head.weight");          // null where there is none
//     const TensorReader reader("large.safetensors");  reader.bytes_of(0);   // one tensor at a time, of a file as large as memory
// Types: F64 F32 BF16 F16 I32 U8 (BOOL is read as U8); at most four axes; little-endian, row-major. Written atomically, aligned to 8 bytes and to each type.
// Reading believes nothing: whatever is wrong with a file is one UsageError that names it (and the tensor). Values are not looked at.
// Source: the format's description, github.com/huggingface/safetensors (README, section Format).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
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

class InputFile;

class TensorReader {
 public:
  explicit TensorReader(const std::filesystem::path& path);  // reads the header and checks it against the file's size
  TensorReader(TensorReader&&) noexcept;
  ~TensorReader();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] const TensorFile& header() const { return header_; }  // tensors without their bytes
  [[nodiscard]] std::uint64_t file_bytes() const;
  [[nodiscard]] std::vector<std::byte> bytes_of(std::size_t tensor) const;  // index into header().tensors

 private:
  std::filesystem::path path_;
  std::unique_ptr<InputFile> file_;
  std::vector<std::uint64_t> begins_;  // in the file, a tensor
  TensorFile header_;
};

// `check` sees the file before its tensors' bytes are read, which are empty then: what is refused by name, type or shape costs nothing.
[[nodiscard]] TensorFile read_safetensors(const std::filesystem::path& path,
                                          const std::function<void(const TensorFile&)>& check = nullptr);

// Throws ProgramError for two tensors of one name and for bytes that do not fit a shape, MachineError where the file cannot be written.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

}  // namespace stepscope
