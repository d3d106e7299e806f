#include "model/training/safetensors.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/json.h"

namespace stepscope {

namespace {

using Json = nlohmann::json;  // found by key in log time: a header may have a million of them
using OrderedJson = nlohmann::ordered_json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian, and so are our bytes");

constexpr std::uint64_t largest_header_bytes = 100'000'000;  // the reference implementation's limit
constexpr int deepest_header = 4;  // the header, a tensor, its shape
constexpr std::string_view metadata_key = "__metadata__";

struct TypeName {
  DType dtype;
  std::string_view name;
};
// Written is the first name of a type.
constexpr TypeName type_names[] = {{DType::fp64, "F64"}, {DType::fp32, "F32"},  {DType::bf16, "BF16"},
                                   {DType::fp16, "F16"}, {DType::int32, "I32"}, {DType::u8, "U8"},
                                   {DType::u8, "BOOL"}};

std::string_view format_name(DType dtype) {
  return std::find_if(std::begin(type_names), std::end(type_names), [&](const TypeName& t) { return t.dtype == dtype; })
      ->name;
}

// The header as it stands, before any byte of a tensor is read: offsets count from the end of the header.
struct Entry {
  std::string name;
  DType dtype = DType::fp32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

// On one line, whatever a file's author put into it.
std::string on_one_line(const Json& text) {
  return text.is_structured() ? "[...]" : text.dump(-1, ' ', true, Json::error_handler_t::replace);
}

class HeaderReader {
 public:
  explicit HeaderReader(const std::filesystem::path& path, const InputFile& file) : path_(path.string()), file_(file) {}

  TensorFile read(std::vector<std::uint64_t>& begins) {
    const Json header = read_header();
    TensorFile result;
    std::vector<Entry> entries;
    for (const auto& [name, fields] : header.items()) {
      if (name == metadata_key)
        result.metadata = read_metadata(fields);
      else
        entries.push_back(read_entry(name, fields));
    }
    check_offsets(entries);
    for (const Entry& entry : entries) {
      result.tensors.push_back(NamedTensor{entry.name, entry.dtype, entry.shape, {}});
      begins.push_back(data_begin_ + entry.begin);
    }
    return result;
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const { throw UsageError(path_ + ": " + why); }
  [[noreturn]] void refuse(const std::string& name, const std::string& why) const {
    refuse("tensor " + on_one_line(name) + " " + why);
  }

  Json read_header() {
    const std::uint64_t size = file_.size_bytes();
    if (size < 8)
      refuse("is no safetensors file: " + std::to_string(size) + " bytes, the header's length alone needs 8");
    std::uint64_t length = 0;
    file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
    if (length > size - 8)
      refuse("is truncated or no safetensors file: a header of " + std::to_string(length) + " bytes in a file of " +
             std::to_string(size));
    if (length > largest_header_bytes)
      refuse("has a header of " + std::to_string(length) + " bytes, the limit is 100,000,000");
    std::string text(length, '\0');
    file_.read(8, std::as_writable_bytes(std::span(text)));
    data_begin_ = 8 + length;
    return parse(text);
  }

  // The parser would silently keep one of two equal names, and copies what is nested as deep as it goes: deeper than any stack.
  [[nodiscard]] Json parse(const std::string& text) const {
    try {
      const JsonOutline outline = outline_of(text, deepest_header);
      if (outline.too_deep) refuse("has a header that is nested deeper than a header is");
      if (outline.wrong_byte) refuse("has a header that is not JSON");
      Json header = Json::parse(text);
      if (!header.is_object()) refuse("has a header that is not a JSON object");
      if (outline.twice) refuse(*outline.twice, "is there twice");
      return header;
    } catch (const Json::exception&) {
      refuse("has a header that is not JSON");
    }
  }

  Metadata read_metadata(const Json& fields) const {
    Metadata metadata;
    if (!fields.is_object()) refuse("has metadata that are not an object of strings");
    for (const auto& [key, value] : fields.items()) {
      if (!value.is_string()) refuse("has metadata " + on_one_line(key) + " that is not a string");
      metadata[key] = value.get<std::string>();
    }
    return metadata;
  }

  Entry read_entry(const std::string& name, const Json& fields) const {
    if (!fields.is_object()) refuse(name, "is not described by an object");
    for (const char* key : {"dtype", "shape", "data_offsets"})
      if (!fields.contains(key)) refuse(name, std::string("has no ") + key);
    Entry entry{name, read_dtype(name, fields["dtype"]), {}, 0, 0};
    const std::vector<std::uint64_t> offsets = read_counts(name, "data_offsets", fields["data_offsets"]);
    if (offsets.size() != 2) refuse(name, "needs two data_offsets, begin and end");
    entry.begin = offsets[0];
    entry.end = offsets[1];
    const std::uint64_t size = read_shape(entry, fields["shape"]);
    const std::uint64_t available = file_.size_bytes() - data_begin_;
    if (entry.begin > entry.end || entry.end > available)
      refuse(name, "lies at bytes " + std::to_string(entry.begin) + " to " + std::to_string(entry.end) + " of " +
                       std::to_string(available) + ": the file is truncated or its header is wrong");
    if (entry.end - entry.begin != size)
      refuse(name, "has " + std::to_string(entry.end - entry.begin) + " bytes, but " +
                       std::string(format_name(entry.dtype)) + to_string(entry.shape) + " needs " +
                       std::to_string(size));
    return entry;
  }

  DType read_dtype(const std::string& name, const Json& field) const {
    for (const TypeName& type : type_names)
      if (field == type.name) return type.dtype;
    refuse(name, "has dtype " + on_one_line(field) + ", known are F64, F32, BF16, F16, I32 and U8");
  }

  std::vector<std::uint64_t> read_counts(const std::string& name, const std::string& key, const Json& field) const {
    if (!field.is_array()) refuse(name, "has a " + key + " that is not a list");
    std::vector<std::uint64_t> counts;
    for (const Json& item : field) {
      if (!item.is_number_unsigned()) refuse(name, "has something else than counts in its " + key);
      counts.push_back(item.get<std::uint64_t>());
    }
    return counts;
  }

  // Sets the shape, returns the bytes that it needs.
  std::uint64_t read_shape(Entry& entry, const Json& field) const {
    const std::vector<std::uint64_t> extents = read_counts(entry.name, "shape", field);
    if (extents.size() > Shape::max_rank)
      refuse(entry.name, "has " + std::to_string(extents.size()) + " axes, at most 4 are known");
    auto size = static_cast<std::uint64_t>(size_bytes(entry.dtype));
    for (const std::uint64_t extent : extents) {
      if (extent != 0 && size > std::uint64_t{std::numeric_limits<std::int64_t>::max()} / extent)
        refuse(entry.name, "has a shape beyond any memory");
      size *= extent;
    }
    entry.shape = shape_of(extents);
    return size;
  }

  static Shape shape_of(const std::vector<std::uint64_t>& extents) {
    const auto at = [&](std::size_t axis) { return static_cast<std::int64_t>(extents[axis]); };
    switch (extents.size()) {
      case 0: return {};
      case 1: return {at(0)};
      case 2: return {at(0), at(1)};
      case 3: return {at(0), at(1), at(2)};
      default: return {at(0), at(1), at(2), at(3)};
    }
  }

  // The bytes must be used up exactly, as the format asks: nothing shared, no hole, nothing behind the last one.
  void check_offsets(std::vector<Entry>& entries) const {
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    std::uint64_t expected = 0;
    for (const Entry& entry : entries) {
      if (entry.begin < expected) refuse(entry.name, "overlaps the tensor before it");
      if (entry.begin > expected)
        refuse(entry.name, "has " + std::to_string(entry.begin - expected) + " unused bytes before it");
      expected = entry.end;
    }
    const std::uint64_t available = file_.size_bytes() - data_begin_;
    if (expected != available) refuse("has " + std::to_string(available - expected) + " bytes behind its last tensor");
  }

  std::string path_;
  const InputFile& file_;
  std::uint64_t data_begin_ = 0;
};

void check_tensors(std::span<const NamedTensor> tensors) {
  std::set<std::string_view> names;
  for (const NamedTensor& tensor : tensors) {
    if (!names.insert(tensor.name).second || tensor.name == metadata_key)
      throw ProgramError("safetensors", "a tensor named '" + tensor.name + "' cannot be written (again)");
    if (static_cast<std::int64_t>(tensor.bytes.size()) != tensor.shape.elements() * size_bytes(tensor.dtype))
      throw ProgramError("safetensors", "the bytes of '" + tensor.name + "' do not fill " + to_string(tensor.shape));
  }
}

OrderedJson described(const NamedTensor& tensor, std::uint64_t begin) {
  OrderedJson shape = OrderedJson::array();
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.push_back(tensor.shape[axis]);
  return {
      {"dtype", format_name(tensor.dtype)}, {"shape", shape}, {"data_offsets", {begin, begin + tensor.bytes.size()}}};
}

}  // namespace

std::uint64_t TensorReader::file_bytes() const { return file_->size_bytes(); }

const NamedTensor* TensorFile::find(std::string_view name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

TensorReader::TensorReader(const std::filesystem::path& path)
    : path_(path), file_(std::make_unique<InputFile>(path)), header_(HeaderReader(path, *file_).read(begins_)) {}

TensorReader::TensorReader(TensorReader&&) noexcept = default;
TensorReader::~TensorReader() = default;

std::vector<std::byte> TensorReader::bytes_of(std::size_t tensor) const {
  const NamedTensor& described = header_.tensors[tensor];
  std::vector<std::byte> bytes(static_cast<std::size_t>(described.shape.elements() * size_bytes(described.dtype)));
  file_->read(begins_[tensor], bytes);
  return bytes;
}

TensorFile read_safetensors(const std::filesystem::path& path, const std::function<void(const TensorFile&)>& check) {
  const TensorReader reader(path);
  if (check) check(reader.header());
  const auto memory =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (reader.file_bytes() > memory)
    throw UsageError(path.string() + ": has " + std::to_string(reader.file_bytes()) + " bytes, this machine's memory " +
                     std::to_string(memory));
  TensorFile file = reader.header();
  for (std::size_t i = 0; i < file.tensors.size(); ++i) file.tensors[i].bytes = reader.bytes_of(i);
  return file;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  check_tensors(tensors);
  std::vector<const NamedTensor*> order;  // large elements first: then each is aligned without a hole
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return size_bytes(a->dtype) > size_bytes(b->dtype);
  });
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header[std::string(metadata_key)] = metadata;
  std::uint64_t offset = 0;
  for (const NamedTensor* tensor : order) {
    header[tensor->name] = described(*tensor, offset);
    offset += tensor->bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  text.resize(static_cast<std::size_t>(round_up(static_cast<std::int64_t>(text.size()), 8)), ' ');
  const std::uint64_t length = text.size();
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&length, 1)),
                                                   std::as_bytes(std::span(text))};
  for (const NamedTensor* tensor : order) parts.emplace_back(tensor->bytes);
  write_atomically(path, parts);
}

}  // namespace stepscope
