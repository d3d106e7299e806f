#include "profiles/cards.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

#include "model/base/data_folder.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/nearest.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

struct Key {
  const char* name;
  bool required;
  double least, most;  // both included
};
constexpr std::array<Key, 12> keys{{{"memory_bytes", true, 0x1p20, 0x1p50},
                                    {"context_bytes", true, 0, 0x1p40},
                                    {"library_bytes", false, 0, 0x1p40},
                                    {"graph_bytes", false, 0, 0x1p40},
                                    {"fp32_flops", true, 1e9, 1e18},
                                    {"tf32_flops", false, 1e9, 1e18},
                                    {"bf16_flops", true, 1e9, 1e18},
                                    {"fp16_flops", false, 1e9, 1e18},
                                    {"bandwidth", true, 1e9, 1e16},
                                    {"host_bandwidth", false, 1e8, 1e14},
                                    {"multiprocessors", false, 1, 1e6},
                                    {"clock_hz", false, 1e6, 1e11}}};
constexpr std::array<std::string_view, 3> bases{"measured", "vendor", "estimated"};

class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file) {}

  CardFile read() {
    parse();
    CardFile result;
    result.card.name = file_.stem().string();
    for (const auto& [key, node] : document_) {
      const std::string name(key.str());
      if (name == "name")
        result.title = text_of(node, name);
      else
        result.figures.push_back(figure_of(name, node));
    }
    if (result.title.empty())
      throw UsageError(fmt::format("{}: name is missing: what the card is called", file_.string()));
    for (const Key& key : keys)
      if (key.required && result.figure(key.name) == nullptr) lacking(key.name);
    fill(result);
    return result;
  }

 private:
  void parse() {
    try {
      document_ = toml::parse(read_file(file_), file_.string());
    } catch (const toml::parse_error& error) {
      std::string what(error.description());
      std::replace(what.begin(), what.end(), '\n', ' ');
      throw UsageError(fmt::format("{}:{}: not TOML: {}", file_.string(), error.source().begin.line, what));
    }
  }

  [[noreturn]] void lacking(const std::string& key) const {
    throw UsageError(
        fmt::format("{}: {} is missing: {} = {{ value = NUMBER, basis = \"vendor\", source = \"where it is from\" }}",
                    file_.string(), key, key));
  }

  [[noreturn]] void refuse(const toml::node& node, const std::string& key, const std::string& right) const {
    std::ostringstream stream;
    node.visit([&](const auto& typed) { stream << typed; });
    std::string value = stream.str();
    std::replace(value.begin(), value.end(), '\n', ' ');
    if (value.size() > 60) value = value.substr(0, 57) + "...";
    throw UsageError(fmt::format("{}:{}: {} = {}: {}", file_.string(), node.source().begin.line, key, value, right));
  }

  std::string text_of(const toml::node& node, const std::string& key) const {
    if (!node.is_string() || node.as_string()->get().empty()) refuse(node, key, "a text");
    return node.as_string()->get();
  }

  const toml::node& part(const toml::node& figure, const std::string& key, const char* name) const {
    const toml::node* node = figure.as_table()->get(name);
    if (node == nullptr) refuse(figure, key, fmt::format("{} is missing", name));
    return *node;
  }

  CardFigure figure_of(const std::string& name, const toml::node& node) const {
    const auto* const known = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return name == key.name; });
    if (known == keys.end()) {
      std::vector<std::string> names{"name"};
      for (const Key& key : keys) names.emplace_back(key.name);
      const std::string near = nearest(name, names);
      throw UsageError(
          fmt::format("{}:{}: {}: there is no such key; {}", file_.string(), node.source().begin.line, name,
                      near.empty() ? fmt::format("there are {}", fmt::join(names, " ")) : "the nearest is " + near));
    }
    if (!node.is_table()) refuse(node, name, "a figure is needed: { value = NUMBER, basis = ..., source = ... }");
    for (const auto& [key, inner] : *node.as_table())
      if (key.str() != "value" && key.str() != "basis" && key.str() != "source")
        refuse(inner, fmt::format("{}.{}", name, key.str()), "a figure has value, basis and source");
    const toml::node& number = part(node, name, "value");
    const std::optional<double> value = number.value<double>();
    if (!number.is_number() || !value || !(*value >= known->least && *value <= known->most))
      refuse(number, name + ".value", fmt::format("a number from {:g} to {:g}", known->least, known->most));
    const toml::node& basis = part(node, name, "basis");
    const std::string said = text_of(basis, name + ".basis");
    if (std::find(bases.begin(), bases.end(), said) == bases.end())
      refuse(basis, name + ".basis", "measured, vendor or estimated");
    return {name, *value, said, text_of(part(node, name, "source"), name + ".source")};
  }

  static void fill(CardFile& file) {
    const auto value = [&](const char* key) {
      const CardFigure* figure = file.figure(key);
      return figure == nullptr ? 0.0 : figure->value;
    };
    file.card.fp32_flops = value("fp32_flops");
    file.card.tf32_flops = value("tf32_flops");
    file.card.bf16_flops = value("bf16_flops");
    file.card.fp16_flops = value("fp16_flops");
    file.card.bandwidth = value("bandwidth");
    file.card.host_bandwidth = value("host_bandwidth");
    file.card.memory_bytes = std::llround(value("memory_bytes"));
    file.card.context_bytes = std::llround(value("context_bytes") + value("library_bytes") + value("graph_bytes"));
  }

  fs::path file_;
  toml::table document_;
};

std::vector<fs::path> card_files() {
  std::vector<fs::path> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(data_folder() / "profiles" / "cards", error))
    if (entry.path().extension() == ".toml") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

const CardFigure* CardFile::figure(const std::string& key) const {
  const auto found = std::find_if(figures.begin(), figures.end(), [&](const CardFigure& f) { return f.key == key; });
  return found == figures.end() ? nullptr : &*found;
}

CardFile read_card(const fs::path& file) { return Reader(file).read(); }

CardFile find_card(const std::string& name_or_file) {
  if (name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".toml")) return read_card(name_or_file);
  std::vector<std::string> names;
  for (const fs::path& file : card_files()) {
    names.push_back(file.stem().string());
    if (names.back() == name_or_file) return read_card(file);
  }
  std::vector<std::string> begun;
  for (const std::string& name : names)
    if (name.starts_with(name_or_file + "-")) begun.push_back(name);
  if (!begun.empty())
    throw UsageError(fmt::format("--card {}: no such card; there is {}", name_or_file, fmt::join(begun, " and ")));
  const std::string near = nearest(name_or_file, names);
  throw UsageError(fmt::format("--card {}: no such card; {}", name_or_file,
                               near.empty()
                                   ? fmt::format("there are {}, or a file of your own: my.toml", fmt::join(names, " "))
                                   : fmt::format("the nearest is {} (stepscope devices --cards lists them)", near)));
}

std::vector<CardFile> known_cards() {
  std::vector<CardFile> cards;
  for (const fs::path& file : card_files()) cards.push_back(read_card(file));
  return cards;
}

}  // namespace stepscope
