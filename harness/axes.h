// Every field that a person can set, in one table: from it follow the keys of matrix files, --set, defaults, cell ids, the axes of
// records, the help text and the errors.
//     Assignments given;  assign(given, field_named("layers", "demo.toml:3"), 2, {"demo.toml:3", "model.layers"});
//     const Configuration configuration = resolve(given);
// Errors are UsageErrors of one line: WHERE: section.key = VALUE: what would be right.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/layers/model_settings.h"
#include "model/techniques/list.h"
#include "model/training/data_source.h"
#include "model/training/training_settings.h"

namespace stepscope {

struct MeasureSettings {
  std::int64_t rounds = 3;  // timed visits of each cell
  std::int64_t warmup_steps = 2;  // before the timed ones, in every visit
  std::int64_t timed_steps = 10;
  std::int64_t profiled_steps = 3;
  std::int64_t learning_steps = 0;  // 0: no learning visits
  std::int64_t timeout_seconds = 600;  // without a sign of life from a worker
  bool operator==(const MeasureSettings&) const = default;
};

struct Configuration {
  std::string preset;  // "": none
  std::string hf;  // a Hugging Face folder, "": none; never beside a preset
  ModelSettings model;
  DataSettings data;
  TrainingSettings training;
  std::map<std::string, Choice> techniques;  // by name; resolved: every technique has its choice
  MeasureSettings measure;  // of the whole run, not of a cell
};

struct Field {
  enum class Type { whole, number, flag, text, list, choice };  // choice: a technique's, which checks itself

  std::string section;  // "model", "data", "training", "techniques", "measure"
  std::string name;  // unique in the table
  Type type = Type::text;
  double least = 0, most = 0;  // whole and number, both included
  std::vector<std::string> allowed = {};  // text; empty: any
  std::string right = {};  // what a value must be: "a whole number from 1 to 1000"
  std::string help = {};
  std::function<Choice(const Configuration&)> get = {};
  std::function<void(Configuration&, const Choice&)> set = {};
  bool names_path = false;  // a value is "KIND:PATH" or a single word
  std::function<bool(const Configuration&)> applies =
      {};  // null: always; elsewhere its default stands and nobody sees it
  bool derived = false;  // follows from the others unless given: left out of axes where it does
};

[[nodiscard]] std::span<const Field> fields();
[[nodiscard]] inline bool applies(const Field& field, const Configuration& configuration) {
  return !field.applies || field.applies(configuration);
}
// `name` bare or section.name; [techniques] may also be called by `matrix.`. Unknown ones are refused with the nearest name.
// `written`: the name as the message shows it, where it is not `name`.
[[nodiscard]] const Field& field_named(std::string_view name, const std::string& where, std::string_view written = "");

// A value as it was given, and where: for errors.
struct Assignment {
  const Field* field = nullptr;
  Choice value;
  std::string where;  // "demo.toml:3", "--set"
  std::string key;  // as written: "matrix.precision"
};
using Assignments = std::map<std::string, Assignment>;  // by the field's name

[[noreturn]] void refuse(const Assignment& assignment, std::string_view right);

// Checks type and range and converts (4 to 4.0, one text to a list of one) before it keeps the value, over one given before.
void assign(Assignments& assignments, Assignment assignment);

// UsageError where both a preset and a folder are given: the model comes from one of the two.
void require_one_base(const Assignments& given);

// Defaults, then the preset or the folder, then what was given; derived fields follow; every rule between fields is checked.
[[nodiscard]] Configuration resolve(const Assignments& given);

// An error of a lower layer "[section.]NAME = VALUE: ..." gets the place where NAME was given; another one that of `otherwise`.
[[nodiscard]] std::string located(const std::string& message, const Assignments& given,
                                  const std::string& otherwise = "preset");

[[nodiscard]] StepRecipe recipe_of(const Configuration& configuration);

// For --help: one line a field.
[[nodiscard]] std::string describe_fields();

}  // namespace stepscope
