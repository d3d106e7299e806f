#include "model/training/hf_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "model/base/error.h"
#include "model/base/half.h"
#include "model/layers/transformer.h"
#include "model/training/hf_json.h"
#include "model/training/hf_names.h"
#include "model/training/safetensors.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";
constexpr std::uint64_t largest_index_bytes = 64 << 20;

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw UsageError(fmt::format("{}: {}", path.string(), what));
}

std::string quoted(const std::string& name) { return Json(name).dump(-1, ' ', true, Json::error_handler_t::replace); }

// Which file each tensor is said to lie in.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const Json json = read_hf_json(path, largest_index_bytes);
  const auto found = json.find("weight_map");
  if (found == json.end() || !found->is_object() || found->empty())
    refuse(path, "has no weight_map: an object that names a file for every tensor is needed");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : found->items()) {
    const bool plain = file.is_string() &&
                       file.get<std::string>().find_first_of(std::string("/\\\0", 3)) == std::string::npos &&
                       file.get<std::string>().ends_with(".safetensors");
    if (!plain) refuse(path, fmt::format("tensor {} lies in no file NAME.safetensors of this folder", quoted(tensor)));
    files[tensor] = file.get<std::string>();
  }
  return files;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// One tensor of a folder: the file and its place there.
struct Place {
  const TensorReader* file = nullptr;
  std::size_t index = 0;
  [[nodiscard]] const NamedTensor& described() const { return file->header().tensors[index]; }
};

// All files of a folder, their headers read: the names of its tensors as the model's outer module has them.
class Folder {
 public:
  Folder(const fs::path& folder, const ModelSettings& model) : folder_(folder), prefix_(hf_prefix_of(model)) {
    for (const fs::path& file : hf_weight_files(folder)) add(std::make_unique<TensorReader>(file));
    if (!is_there(folder / single_file)) check_index(read_index(folder / index_file));
  }

  [[nodiscard]] const Place* find(const std::string& tensor) const {
    const auto found = places_.find(tensor);
    return found == places_.end() ? nullptr : &found->second;
  }

  [[nodiscard]] const std::map<std::string, Place>& all() const { return places_; }
  [[nodiscard]] fs::path first_file() const {
    return is_there(folder_ / single_file) ? folder_ / single_file : folder_ / index_file;
  }

 private:
  void add(std::unique_ptr<TensorReader> file) {
    for (std::size_t i = 0; i < file->header().tensors.size(); ++i) {
      const std::string& name = file->header().tensors[i].name;
      const bool outer = name.starts_with(prefix_) || name == "lm_head.weight";
      const auto [there, added] = places_.try_emplace(outer ? name : prefix_ + name, Place{file.get(), i});
      if (!added)
        refuse(file->path(),
               fmt::format("tensor {} is also {} in {}", quoted(name), quoted(there->second.described().name),
                           there->second.file->path().filename().string()));
    }
    files_.push_back(std::move(file));
  }

  // Of several files the index must say the truth.
  void check_index(const std::map<std::string, std::string>& index) const {
    std::map<std::string, std::string> really;
    for (const auto& [name, place] : places_) really[place.described().name] = place.file->path().filename().string();
    for (const auto& [name, file] : index)
      if (const auto found = really.find(name); found == really.end() || found->second != file)
        refuse(folder_ / file, fmt::format("tensor {} is missing, {} says that it is here", quoted(name), index_file));
    for (const auto& [name, file] : really)
      if (!index.contains(name))
        refuse(folder_ / file, fmt::format("tensor {} is not in {}", quoted(name), index_file));
  }

  fs::path folder_;
  std::string prefix_;
  std::vector<std::unique_ptr<TensorReader>> files_;
  std::map<std::string, Place> places_;
};

template <class Narrow>
std::vector<float> widened(std::span<const std::byte> bytes) {
  std::vector<float> elements(bytes.size() / sizeof(Narrow));
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Narrow narrow;
    std::memcpy(&narrow, bytes.data() + i * sizeof(Narrow), sizeof(Narrow));
    elements[i] = load(narrow);
  }
  return elements;
}

std::vector<float> elements_of(const Place& place) {
  const NamedTensor& tensor = place.described();
  const std::vector<std::byte> bytes = place.file->bytes_of(place.index);
  std::vector<float> elements = tensor.dtype == DType::bf16   ? widened<bf16>(bytes)
                                : tensor.dtype == DType::fp16 ? widened<fp16>(bytes)
                                                              : widened<float>(bytes);
  const auto bad = std::find_if(elements.begin(), elements.end(), [](float x) { return !std::isfinite(x); });
  if (bad != elements.end())
    refuse(place.file->path(), fmt::format("tensor {}: element {} is {}: finite numbers are needed",
                                           quoted(tensor.name), bad - elements.begin(), *bad));
  return elements;
}

void check_tensor(const Folder& folder, const HfPiece& piece) {
  const Place* place = folder.find(piece.tensor);
  if (place == nullptr)
    refuse(folder.first_file(),
           fmt::format("tensor \"{}\" is missing: {} is needed", piece.tensor, to_string(piece.shape)));
  const NamedTensor& tensor = place->described();
  const bool floating = tensor.dtype == DType::fp32 || tensor.dtype == DType::bf16 || tensor.dtype == DType::fp16;
  if (!floating || tensor.shape != piece.shape)
    refuse(place->file->path(), fmt::format("tensor {} is {}{}: fp32, bf16 or fp16 {} is needed", quoted(tensor.name),
                                            name_of(tensor.dtype), to_string(tensor.shape), to_string(piece.shape)));
}

// A tied head may be written out once more: then it must be the embedding, which is what is computed with.
void check_tied_head(const Folder& folder, const HfPiece& embedding) {
  const Place* head = folder.find("lm_head.weight");
  if (head == nullptr) return;
  check_tensor(folder, {.tensor = "lm_head.weight", .shape = embedding.shape});
  if (elements_of(*head) != elements_of(*folder.find(embedding.tensor)))
    refuse(
        head->file->path(),
        fmt::format("tensor \"lm_head.weight\" differs from {}, config.json says that they are one", embedding.tensor));
}

// Names, types and shapes of everything.
void check(const Program& program, const Folder& folder, const ModelSettings& model) {
  std::set<std::string> known;
  for (const StateId id : program.states_of(StateKind::parameter))
    for (const HfPiece& piece : hf_pieces_of(program.state(id).name, model)) {
      check_tensor(folder, piece);
      known.insert(piece.tensor);
    }
  if (model.tied_head) known.insert("lm_head.weight");
  for (const auto& [name, place] : folder.all())
    if (!known.contains(name) && !is_hf_constant(name, model))
      refuse(place.file->path(),
             fmt::format("tensor {} is none of the model that config.json describes", quoted(place.described().name)));
}

}  // namespace

std::vector<fs::path> hf_weight_files(const fs::path& folder) {
  if (is_there(folder / single_file)) return {folder / single_file};
  if (!is_there(folder / index_file))
    refuse(folder, fmt::format("has no {} and no {}; weights in another format are not read", single_file, index_file));
  std::set<fs::path> files;
  for (const auto& [tensor, file] : read_index(folder / index_file)) {
    if (!is_there(folder / file))
      refuse(folder / index_file, fmt::format("tensor {}: {} is missing", quoted(tensor), quoted(file)));
    files.insert(folder / file);
  }
  return {files.begin(), files.end()};
}

void check_hf_weights(const fs::path& folder, const ModelSettings& model) {
  Builder builder(DType::fp32);
  builder.set_batch(1, 1, 1);
  ModelSettings without_masks = model;
  without_masks.mask.clear();
  check(build_transformer(std::move(builder), without_masks), Folder(folder, model), model);
}

void load_hf_weights(const Program& program, Executor& executor, const fs::path& folder_path,
                     const ModelSettings& model) {
  const Folder folder(folder_path, model);
  check(program, folder, model);
  if (model.tied_head) check_tied_head(folder, hf_pieces_of("embedding", model).front());
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const State& parameter = program.state(id);
    std::vector<float> ours(static_cast<std::size_t>(parameter.type.shape.elements()));
    for (const HfPiece& piece : hf_pieces_of(parameter.name, model))
      piece.copy_in(elements_of(*folder.find(piece.tensor)), ours);
    executor.write(id, std::as_bytes(std::span(ours)));
  }
}

}  // namespace stepscope
