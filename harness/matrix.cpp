#include "harness/matrix.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/nearest.h"

namespace stepscope {

namespace {

struct Axis {
  const Field* field;
  std::vector<Assignment> values;
};

std::string one_line(const toml::node& node) {
  std::ostringstream stream;
  node.visit([&](const auto& typed) {
    if constexpr (toml::is_table<decltype(typed)>) {
      stream << "{ ... }";
    } else {
      stream << typed;
    }
  });
  std::string text = stream.str();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

std::optional<Choice> choice_of(const toml::node& node) {
  if (const auto* v = node.as_boolean()) return Choice(v->get());
  if (const auto* v = node.as_integer()) return Choice(static_cast<std::int64_t>(v->get()));
  if (const auto* v = node.as_floating_point()) return Choice(v->get());
  if (const auto* v = node.as_string()) return Choice(v->get());
  const toml::array* array = node.as_array();
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> texts;
  for (const toml::node& element : *array) {
    if (!element.is_string()) return std::nullopt;
    texts.push_back(element.as_string()->get());
  }
  return Choice(std::move(texts));
}

// Over what was given before. A preset takes the place of a folder, and a folder that of a preset.
void give(Assignments& given, const Assignment& assignment) {
  if (assignment.field->name == "preset") given.erase("hf");
  if (assignment.field->name == "hf") given.erase("preset");
  given[assignment.field->name] = assignment;
}

void give_all(Assignments& given, const Assignments& over) {
  require_one_base(over);
  for (const auto& [name, assignment] : over) give(given, assignment);
}

// Reads one file; keeps its name for messages.
class Reader {
 public:
  Reader(std::string file, const Assignments& overrides) : overrides_(overrides) { matrix_.file = std::move(file); }

  Matrix read() {
    constexpr std::uint64_t largest_file_bytes = 16 << 20;
    matrix_.text = read_file(matrix_.file, largest_file_bytes);
    parse();
    read_sections();
    read_axes();
    read_single_cells();
    multiply();
    exclude();
    return std::move(matrix_);
  }

 private:
  [[nodiscard]] std::string place(const toml::node& node) const {
    return fmt::format("{}:{}", matrix_.file, node.source().begin.line);
  }

  [[noreturn]] void refuse_node(const toml::node& node, const std::string& key, const std::string& right) const {
    throw UsageError(fmt::format("{}: {} = {}: {}", place(node), key, one_line(node), right));
  }

  void parse() {
    try {
      document_ = toml::parse(matrix_.text, matrix_.file);
    } catch (const toml::parse_error& error) {
      const toml::source_position at = error.source().begin;
      std::string what(error.description());
      std::replace(what.begin(), what.end(), '\n', ' ');
      throw UsageError(fmt::format("{}:{}:{}: not TOML: {}", matrix_.file, at.line, at.column, what));
    }
    static const std::vector<std::string> known{"model",  "data", "training", "techniques",
                                                "matrix", "cell", "exclude",  "measure"};
    for (const auto& [key, node] : document_) {
      const std::string name(key.str());
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const std::string near = nearest(name, known);
        throw UsageError(
            fmt::format("{}: {}: there is no such section; {}", place(node), name,
                        near.empty() ? fmt::format("there are {}", fmt::join(known, " ")) : "the nearest is " + near));
      }
    }
  }

  const toml::table* table(const char* name) const {
    const toml::node* node = document_.get(name);
    if (node == nullptr) return nullptr;
    if (!node->is_table()) refuse_node(*node, name, fmt::format("a table is needed: [{}]", name));
    return node->as_table();
  }

  std::vector<const toml::table*> tables(const char* name) const {
    const toml::node* node = document_.get(name);
    std::vector<const toml::table*> list;
    if (node == nullptr) return list;
    const toml::array* array = node->as_array();
    if (array == nullptr) refuse_node(*node, name, fmt::format("tables are needed: [[{}]]", name));
    for (const toml::node& element : *array) {
      if (!element.is_table()) refuse_node(element, name, fmt::format("tables are needed: [[{}]]", name));
      list.push_back(element.as_table());
    }
    return list;
  }

  Assignment assignment_of(const Field& field, const toml::node& node, const std::string& key) const {
    const std::optional<Choice> choice = choice_of(node);
    if (!choice) refuse_node(node, key, field.right);
    return {&field, *choice, place(node), key};
  }

  void read_table(const toml::table& table, const std::string& section, const std::string& lookup,
                  Assignments& into) const {
    for (const auto& [key, node] : table) {
      if (section == "measure" && key.str() == "learning") continue;  // no field: read_learning
      const std::string name = section + "." + std::string(key.str());
      const Field& field = field_named(lookup.empty() ? std::string(key.str()) : lookup + "." + std::string(key.str()),
                                       place(node), name);
      if (lookup.empty() && field.section == "measure")
        refuse_node(node, name, "it is of the whole run: give it in [measure]");
      assign(into, assignment_of(field, node, name));
    }
  }

  void read_sections() {
    for (const char* section : {"model", "data", "training", "techniques"})
      if (const toml::table* found = table(section)) read_table(*found, section, section, base_);
    const toml::table* measure = table("measure");
    if (measure == nullptr) return;
    if (const toml::node* learning = measure->get("learning")) read_learning(*learning);
    read_table(*measure, "measure", "measure", base_);
  }

  void read_learning(const toml::node& node) {
    const toml::array* list = node.as_array();
    const std::string right = "a list of matches, as [{precision = \"bf16\"}]";
    if (list == nullptr) refuse_node(node, "measure.learning", right);
    for (const toml::node& element : *list) {
      if (!element.is_table()) refuse_node(node, "measure.learning", right);
      matrix_.learning.push_back(match_of(*element.as_table(), "measure.learning"));
    }
  }

  Match match_of(const toml::table& table, const std::string& section) const {
    Match match{.where = place(table), .values = {}};
    read_table(table, section, "", match.values);
    return match;
  }

  void read_axes() {
    const toml::table* found = table("matrix");
    if (found == nullptr) return;
    for (const auto& [key, node] : *found) {
      const std::string name = "matrix." + std::string(key.str());
      const Field& field = field_named(std::string(key.str()), place(node), name);
      if (field.section == "measure") refuse_node(node, name, "it is of the whole run: give it in [measure]");
      Axis axis{&field, {}};
      const toml::array* list = node.as_array();
      if (list == nullptr) axis.values.push_back(checked(field, node, name));
      if (list != nullptr && list->empty()) refuse_node(node, name, "at least one value is needed");
      for (std::size_t i = 0; list != nullptr && i < list->size(); ++i)
        axis.values.push_back(checked(field, *list->get(i), name));
      products_ *= static_cast<std::int64_t>(axis.values.size());
      check_size(products_, *found, "matrix");
      axes_.push_back(std::move(axis));
    }
    // toml tables are sorted by name; the table of fields has the order in which people think.
    std::sort(axes_.begin(), axes_.end(), [](const Axis& a, const Axis& b) { return a.field < b.field; });
  }

  void check_size(std::int64_t cells, const toml::node& node, const char* section) const {
    if (cells > largest_matrix)
      throw UsageError(fmt::format("{}: {}: {} cells or more: at most {} in one file; leave some out or split it",
                                   place(node), section, cells, largest_matrix));
  }

  Assignment checked(const Field& field, const toml::node& node, const std::string& key) const {
    Assignments one;
    assign(one, assignment_of(field, node, key));
    return one.begin()->second;
  }

  void read_single_cells() {
    const std::vector<const toml::table*> cells = tables("cell");
    if (!cells.empty()) check_size((axes_.empty() ? 0 : products_) + std::ssize(cells), *cells.back(), "cell");
    for (const toml::table* cell : cells) {
      Assignments own;
      read_table(*cell, "cell", "", own);
      singles_.push_back(base_);
      give_all(singles_.back(), own);
    }
  }

  void multiply() {
    if (!axes_.empty() || singles_.empty()) {
      std::vector<std::size_t> at(axes_.size(), 0);
      do {
        Assignments given = base_, chosen;
        for (std::size_t i = 0; i < axes_.size(); ++i) chosen[axes_[i].field->name] = axes_[i].values[at[i]];
        give_all(given, chosen);
        add_cell(std::move(given));
      } while (advance(at));
    }
    for (Assignments& given : singles_) add_cell(std::move(given));
  }

  bool advance(std::vector<std::size_t>& at) const {  // the last axis runs fastest
    for (std::size_t i = at.size(); i-- > 0;) {
      if (++at[i] < axes_[i].values.size()) return true;
      at[i] = 0;
    }
    return false;
  }

  void add_cell(Assignments given) {
    give_all(given, overrides_);
    Configuration configuration = resolve_cell(given);
    matrix_.measure = configuration.measure;
    std::string id = cell_id(configuration);
    if (!ids_.insert(id).second) return;
    matrix_.cells.push_back({.id = std::move(id),
                             .configuration = std::move(configuration),
                             .given = std::make_shared<const Assignments>(std::move(given))});
  }

  Configuration resolve_cell(const Assignments& given) const {
    if (!given.empty()) return resolve(given);
    throw UsageError(matrix_.file + ": the file is empty; [model] preset = ... is the least that is needed");
  }

  void exclude() {
    for (const toml::table* found : tables("exclude")) {
      const Match match = match_of(*found, "exclude");
      if (match.values.empty()) refuse_node(*found, "exclude", "name at least one field and its value");
      for (MatrixCell& cell : matrix_.cells)
        if (cell.excluded_by.empty() && match.matches(cell.configuration))
          cell.excluded_by = match.where + ": " + match.describe();
    }
  }

  const Assignments& overrides_;
  Matrix matrix_;
  toml::table document_;
  Assignments base_;
  std::vector<Axis> axes_;
  std::int64_t products_ = 1;  // cells that the axes make
  std::vector<Assignments> singles_;
  std::set<std::string> ids_;
};

}  // namespace

const MatrixCell& Matrix::cell(const std::string& id) const {
  std::vector<std::string> ids;
  for (const MatrixCell& cell : cells) {
    if (cell.id == id) return cell;
    ids.push_back(cell.id);
  }
  const std::string near = nearest(id, ids);
  throw UsageError(fmt::format("{}cell {}: there is no such cell; {}", file.empty() ? "" : file + ": ", id,
                               near.empty() ? "stepscope plan lists them" : "the nearest is " + near));
}

Assignments overrides_of(const std::vector<std::string>& sets, const std::string& preset, const std::string& source,
                         const std::string& hf) {
  Assignments overrides;
  const auto add = [&](const std::string& name, Choice value, const std::string& option) {
    const Field& field = field_named(name, option);
    assign(overrides, {&field, std::move(value), option, field.section + "." + field.name});
  };
  if (!preset.empty()) add("preset", preset, "--preset");
  if (!hf.empty()) add("hf", hf, "--hf");
  if (!source.empty()) add("source", source, "--data");
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      throw UsageError(fmt::format("--set {}: FIELD=VALUE is needed", set));
    const std::string name = set.substr(0, equals), value = set.substr(equals + 1);
    Choice choice = value;  // a bare string, unless it is TOML
    try {
      const toml::table parsed = toml::parse("value = " + value);
      if (parsed.size() == 1) choice = choice_of(*parsed.get("value")).value_or(choice);
    } catch (const toml::parse_error&) {
    }
    add(name, std::move(choice), "--set");
  }
  return overrides;
}

Matrix read_matrix(const std::string& file, const Assignments& overrides) { return Reader(file, overrides).read(); }

Matrix matrix_of(const Assignments& overrides) {
  Matrix matrix;
  Configuration configuration = resolve(overrides);
  matrix.measure = configuration.measure;
  std::string id = cell_id(configuration);
  matrix.cells.push_back({.id = std::move(id),
                          .configuration = std::move(configuration),
                          .given = std::make_shared<const Assignments>(overrides)});
  return matrix;
}

namespace {

std::string with_absolute_path(const std::string& value) {
  const std::size_t path = value.find(':') + 1;
  return path == 0 ? value : value.substr(0, path) + std::filesystem::absolute(value.substr(path)).string();
}

}  // namespace

std::string to_toml(const Configuration& configuration) {
  toml::table document;
  for (const Field& field : fields()) {
    Choice value = field.get(configuration);
    if (field.name == "preset" && configuration.preset.empty()) continue;
    if (!applies(field, configuration)) continue;
    if (field.name == "hf" && configuration.hf.empty()) continue;
    if (field.name == "hf") value = std::filesystem::absolute(configuration.hf).string();
    if (field.names_path) value = with_absolute_path(std::get<std::string>(value));
    if (!document.contains(field.section)) document.insert(field.section, toml::table{});
    toml::table& section = *document.get_as<toml::table>(field.section);
    std::visit(
        [&](const auto& held) {
          if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::vector<std::string>>) {
            toml::array list;
            for (const std::string& text : held) list.push_back(text);
            section.insert(field.name, std::move(list));
          } else {
            section.insert(field.name, held);
          }
        },
        value);
  }
  std::ostringstream stream;
  stream << document << "\n";
  return stream.str();
}

Matrix matrix_of_cells(const Configuration& base, const std::vector<MatrixCell>& cells, const std::string& file) {
  Matrix matrix{.file = file, .text = to_toml(base), .cells = cells, .measure = base.measure, .learning = {}};
  for (const MatrixCell& cell : cells) {
    matrix.text += "\n[[cell]]\n";
    for (const Technique& technique : techniques())
      matrix.text +=
          fmt::format("{} = {}\n", technique.name, as_toml(field_named(technique.name, "").get(cell.configuration)));
  }
  return matrix;
}

}  // namespace stepscope
