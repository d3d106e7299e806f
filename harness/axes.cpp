#include "harness/axes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "harness/printable.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/nearest.h"
#include "model/training/optimizer.h"
#include "model/training/tokenizer.h"

namespace stepscope {

namespace {

using Type = Field::Type;

void check_number(const Assignment& assignment, double number) {
  const Field& field = *assignment.field;
  if (!(number >= field.least && number <= field.most)) refuse(assignment, field.right);
}

void check_text(const Assignment& assignment) {
  const Field& field = *assignment.field;
  const std::string& value = std::get<std::string>(assignment.value);
  const bool known = std::find(field.allowed.begin(), field.allowed.end(), value) != field.allowed.end();
  if (!field.allowed.empty() && !known) refuse(assignment, field.right);
}

void check_technique(const Assignment& assignment) {
  for (const Technique& technique : techniques()) {
    if (technique.name != assignment.field->name) continue;
    try {
      StepRecipe scratch;
      technique.apply(assignment.value, scratch);
    } catch (const UsageError& error) {
      throw UsageError(located(error.what(), {{assignment.field->name, assignment}}));
    }
  }
}

[[noreturn]] void refuse_type(const Assignment& assignment) {
  static constexpr const char* types[] = {"true or false", "a whole number", "a number with a point", "text", "a list"};
  throw UsageError(fmt::format("{}: {} = {}: {}, not {}", assignment.where, assignment.key,
                               printable(shortened(as_toml(assignment.value))), assignment.field->right,
                               types[assignment.value.index()]));
}

// Texts go into messages, file names and JSON.
void check_printable(const Assignment& assignment) {
  const auto check = [&](const std::string& text) {
    if (!is_printable(text)) refuse(assignment, "UTF-8 without control characters is needed");
  };
  if (const auto* text = std::get_if<std::string>(&assignment.value)) check(*text);
  if (const auto* list = std::get_if<std::vector<std::string>>(&assignment.value))
    std::for_each(list->begin(), list->end(), check);
}

// The value as the field's type has it, or a refusal.
Choice converted(const Assignment& assignment) {
  const Field& field = *assignment.field;
  const Choice& value = assignment.value;
  check_printable(assignment);
  switch (field.type) {
    case Type::whole:
      if (!std::holds_alternative<std::int64_t>(value)) refuse_type(assignment);
      check_number(assignment, static_cast<double>(std::get<std::int64_t>(value)));
      return value;
    case Type::number: {
      const std::int64_t* integer = std::get_if<std::int64_t>(&value);
      if (integer == nullptr && !std::holds_alternative<double>(value)) refuse_type(assignment);
      const double number = integer != nullptr ? static_cast<double>(*integer) : std::get<double>(value);
      check_number(assignment, number);
      return number;
    }
    case Type::flag:
      if (!std::holds_alternative<bool>(value)) refuse_type(assignment);
      return value;
    case Type::text:
      if (!std::holds_alternative<std::string>(value)) refuse_type(assignment);
      check_text(assignment);
      return value;
    case Type::list:
      if (const auto* one = std::get_if<std::string>(&value)) return std::vector<std::string>{*one};
      if (!std::holds_alternative<std::vector<std::string>>(value)) refuse_type(assignment);
      return value;
    case Type::choice: {
      const auto* list = std::get_if<std::vector<std::string>>(&value);
      const Choice plain = list != nullptr && list->size() == 1 ? Choice(list->front()) : value;  // ["none"] is "none"
      check_technique({assignment.field, plain, assignment.where, assignment.key});
      return plain;
    }
  }
  return value;
}

// Where a rule between fields is broken: told at the first of the fields that was given, with the value it has now.
[[noreturn]] void refuse_rule(const Configuration& configuration, const Assignments& given,
                              std::initializer_list<const char*> names, std::string_view right) {
  for (const char* name : names) {
    const auto found = given.find(name);
    if (found != given.end()) refuse(found->second, right);
  }
  const Field& field = field_named(*names.begin(), "");
  const auto base = given.contains("hf") ? given.find("hf") : given.find("preset");
  const std::string where = base != given.end() ? base->second.where
                            : given.empty()     ? std::string("no preset and no file")
                                                : given.begin()->second.where;
  refuse({&field, field.get(configuration), where, field.section + "." + field.name}, right);
}

void check_model(Configuration& configuration, const Assignments& given) {
  const ModelSettings& model = configuration.model;
  for (const char* name : {"layers", "hidden", "heads", "vocabulary", "max_sequence"}) {
    const Field& field = field_named(name, "");
    if (std::get<std::int64_t>(field.get(configuration)) == 0)
      refuse_rule(configuration, given, {name}, field.right + ", or a preset that gives it");
  }
  try {
    configuration.model = resolved(model);
  } catch (const UsageError& error) {
    throw UsageError(located(error.what(), given));
  }
  for (const std::string& mask : model.mask) {
    if (mask == "causal" || mask == "padding") continue;
    const bool custom = mask.starts_with("custom:") && mask.size() > 7;
    if (!custom) refuse_rule(configuration, given, {"mask"}, field_named("mask", "").right);
    if (const std::string why = what_hinders_reading(mask.substr(7)); !why.empty())
      refuse_rule(configuration, given, {"mask"}, mask.substr(7) + ": " + why);
  }
}

void check_tokenizer(const Configuration& configuration, const Assignments& given) {
  const std::string& tokenizer = configuration.data.tokenizer;
  if (tokenizer == "bytes") return;
  if (vocabulary_folder_of(tokenizer).empty())
    refuse_rule(configuration, given, {"tokenizer"}, field_named("tokenizer", "").right);
  if (configuration.data.source == "synthetic")
    refuse_rule(configuration, given, {"tokenizer"}, "synthetic tokens are no text: source = \"text:PATH\"");
  for (const std::string& path : files_of_tokenizer(tokenizer))
    if (const std::string why = what_hinders_reading(path); !why.empty())
      refuse_rule(configuration, given, {"tokenizer"}, path + ": " + why);
}

void check_data(const Configuration& configuration, const Assignments& given) {
  check_tokenizer(configuration, given);
  const std::string& source = configuration.data.source;
  if (source == "synthetic") {
    if (configuration.data.rows == "lines")
      refuse_rule(configuration, given, {"rows"}, "lines need a text: source = \"text:PATH\"");
    return;
  }
  const std::string path = file_of(source);
  const bool is_text = source.starts_with("text:");
  if (path.empty()) refuse_rule(configuration, given, {"source"}, field_named("source", "").right);
  if (!is_text && configuration.data.rows == "lines")
    refuse_rule(configuration, given, {"rows"}, "lines need a text: source = \"text:PATH\"");
  if (const std::string why = what_hinders_reading(path); !why.empty())
    refuse_rule(configuration, given, {"source"}, why);
  std::error_code error;
  if (std::filesystem::file_size(path, error) == 0)
    refuse_rule(configuration, given, {"source"}, "the file is empty, tokens are needed");
  if (is_text && configuration.data.tokenizer == "bytes" && configuration.model.vocabulary < 256)
    refuse_rule(configuration, given, {"vocabulary", "source"},
                "text is read as bytes: a vocabulary of at least 256 is needed");
}

// Where precision does not scale the loss the fields are as they would be by default: such cells are one cell.
void check_loss_scaling(Configuration& configuration, const Assignments& given) {
  TrainingSettings& training = configuration.training;
  if (!recipe_of(configuration).scales_loss) {
    training.loss_scale = TrainingSettings{}.loss_scale;
    training.loss_scale_growth_interval = TrainingSettings{}.loss_scale_growth_interval;
  }
  int exponent = 0;
  if (std::frexp(training.loss_scale, &exponent) != 0.5)
    refuse_rule(configuration, given, {"loss_scale"}, field_named("loss_scale", "").right);
}

void check_training(Configuration& configuration, const Assignments& given) {
  TrainingSettings& training = configuration.training;
  if (training.global_batch == 0)
    refuse_rule(configuration, given, {"global_batch"},
                field_named("global_batch", "").right + ", or a preset that gives it");
  const std::int64_t longest = configuration.model.max_sequence;
  if (training.sequence == 0 || (training.sequence > longest && !given.contains("sequence")))
    training.sequence = longest;
  if (training.sequence > longest)
    refuse_rule(configuration, given, {"sequence"}, fmt::format("at most max_sequence = {}", longest));
  if (!optimizer_named(training.optimizer).decays) {
    if (given.contains("weight_decay") && training.weight_decay != 0)
      refuse_rule(configuration, given, {"weight_decay"}, "only optimizer = \"adamw\" decays weights");
    training.weight_decay = 0;
  }
  const std::int64_t micro_steps = recipe_of(configuration).micro_steps;
  if (micro_steps < 1 || training.global_batch % micro_steps != 0) {
    refuse_rule(configuration, given, {"accumulation", "global_batch"},
                fmt::format("global_batch = {} must be a multiple of accumulation = {}: no row may be left over",
                            training.global_batch, micro_steps));
  }
}

}  // namespace

const Field& field_named(std::string_view name, const std::string& where, std::string_view written) {
  const std::size_t dot = name.find('.');
  const std::string_view bare = dot == std::string_view::npos ? name : name.substr(dot + 1);
  const std::string_view section = dot == std::string_view::npos ? "" : name.substr(0, dot);
  std::vector<std::string> names;
  for (const Field& field : fields()) {
    const bool here =
        section.empty() || section == field.section || (section == "matrix" && field.section != "measure");
    if (here && field.name == bare) return field;
    names.push_back(field.name);
  }
  const std::string near = nearest(bare, names);
  std::string hint = fmt::format("the fields are {}", fmt::join(names, " "));
  if (near == bare)
    hint = fmt::format("it belongs to [{}]", field_named(near, where).section);
  else if (!near.empty())
    hint = fmt::format("the nearest field is {}", near);
  throw UsageError(fmt::format("{}: {}: there is no such field; {}", where, written.empty() ? name : written, hint));
}

void refuse(const Assignment& assignment, std::string_view right) {
  throw UsageError(fmt::format("{}: {} = {}: {}", assignment.where, assignment.key,
                               printable(shortened(to_string(assignment.value))), right));
}

void assign(Assignments& assignments, Assignment assignment) {
  assignment.value = converted(assignment);
  assignments[assignment.field->name] = std::move(assignment);
}

std::string located(const std::string& message, const Assignments& given, const std::string& otherwise) {
  const std::size_t equals = message.find(" = ");
  std::string name = message.substr(0, equals == std::string::npos ? 0 : equals);
  if (const std::size_t dot = name.rfind('.'); dot != std::string::npos) name = name.substr(dot + 1);
  const auto found = given.find(name);
  if (found == given.end()) {
    for (const std::string& field : {otherwise, std::string("preset"), std::string("hf")})
      if (const auto there = given.find(field); there != given.end())
        return fmt::format("{}: {}", there->second.where, message);
    return message;
  }
  return fmt::format("{}: {}{}", found->second.where, found->second.key, message.substr(equals));
}

StepRecipe recipe_of(const Configuration& configuration) {
  StepRecipe recipe;
  for (const Technique& technique : techniques()) {
    const auto chosen = configuration.techniques.find(std::string(technique.name));
    technique.apply(chosen == configuration.techniques.end() ? technique.off : chosen->second, recipe);
  }
  return recipe;
}

void require_one_base(const Assignments& given) {
  const auto preset = given.find("preset"), hf = given.find("hf");
  if (preset != given.end() && hf != given.end())
    refuse(hf->second,
           fmt::format("not beside preset = {}: the model comes from one of the two", to_string(preset->second.value)));
}

Configuration resolve(const Assignments& given) {
  require_one_base(given);
  Configuration configuration;
  for (const Field& field : fields()) {  // in the table's order: the preset first
    if (field.section == "techniques") field.set(configuration, field.get(configuration));
    const auto found = given.find(field.name);
    if (found != given.end()) field.set(configuration, found->second.value);
  }
  check_model(configuration, given);
  check_data(configuration, given);
  check_training(configuration, given);
  check_loss_scaling(configuration, given);
  return configuration;
}

std::string describe_fields() {
  std::string text = "Fields, for matrix files and --set FIELD=VALUE:\n";
  std::string section;
  for (const Field& field : fields()) {
    if (field.section != section) text += fmt::format("  [{}]\n", section = field.section);
    text += fmt::format("    {:<27} {}\n", field.name, field.help);
  }
  return text;
}

}  // namespace stepscope
