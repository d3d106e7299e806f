#include "harness/cell.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "model/base/hash.h"

namespace stepscope {

namespace {

constexpr std::size_t readable_characters = 71;  // with "-1a2b3c4d" 80

bool of_the_cell(const Field& field) { return field.section != "measure"; }

std::string name_value(const std::string& name, const Choice& value) { return name + "-" + to_string(value); }

// What the fields are where only the preset, or the folder, is given; each is resolved once.
const Configuration& base_alone(const std::string& field, const std::string& base) {
  static std::map<std::string, Configuration> known;
  const auto found = known.find(field + base);
  if (found != known.end()) return found->second;
  Assignments given;
  assign(given, {&field_named(field, ""), base, field, "model." + field});
  return known[field + base] = resolve(given);
}

std::string technique_part(const Technique& technique, const Choice& choice) {
  if (technique.name == "precision" || technique.name == "checkpointing") return to_string(choice);
  if (technique.name == "accumulation") return "x" + to_string(choice);
  return choice == technique.off ? "" : name_value(std::string(technique.name), choice);
}

std::string file_name_safe(std::string text) {
  for (char& c : text) {
    const bool safe =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '+';
    if (!safe) c = '-';
  }
  return text;
}

}  // namespace

std::string name_of_folder(const std::string& folder) {
  if (folder.empty()) return "";
  return std::filesystem::absolute(folder + "/.").lexically_normal().parent_path().filename().string();
}

bool Match::matches(const Configuration& configuration) const {
  for (const auto& [name, assignment] : values)
    if (assignment.field->get(configuration) != assignment.value) return false;
  return true;
}

std::string Match::describe() const {
  std::vector<std::string> parts;
  for (const auto& [name, assignment] : values) parts.push_back(name + " = " + to_string(assignment.value));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string canonical_text(const Configuration& configuration) {
  std::string text;
  for (const Field& field : fields()) {
    if (!of_the_cell(field) || !applies(field, configuration)) continue;
    std::string value = to_string(field.get(configuration));
    if (const std::size_t path = value.find(':') + 1; field.names_path && path > 0)
      value = value.substr(0, path) + std::filesystem::path(value.substr(path)).filename().string();
    if (field.name == "hf") value = name_of_folder(value);
    text += fmt::format("{}.{} = {}\n", field.section, field.name, value);
  }
  return text;
}

std::string cell_id(const Configuration& configuration) {
  std::vector<std::string> parts;
  for (const Technique& technique : techniques()) {
    const Field& field = field_named(technique.name, "");
    if (std::string part = technique_part(technique, field.get(configuration)); !part.empty()) parts.push_back(part);
  }
  if (!configuration.preset.empty() || !configuration.hf.empty()) {
    const Configuration& plain =
        configuration.hf.empty() ? base_alone("preset", configuration.preset) : base_alone("hf", configuration.hf);
    for (const Field& field : fields()) {
      if (!of_the_cell(field) || field.section == "techniques" || field.names_path || field.name == "preset" ||
          field.name == "hf")
        continue;
      if (field.get(configuration) != field.get(plain))
        parts.push_back(name_value(field.name, field.get(configuration)));
    }
  }
  const std::string readable = file_name_safe(fmt::format("{}", fmt::join(parts, "-")));
  return readable.substr(0, readable_characters) + "-" +
         hexadecimal(hash_of(canonical_text(configuration))).substr(0, 8);
}

Configuration reference_of(Configuration configuration) {
  for (const Technique& technique : techniques()) configuration.techniques[std::string(technique.name)] = technique.off;
  configuration.model.softmax_precision = ModelSettings{}.softmax_precision;
  return configuration;
}

}  // namespace stepscope
