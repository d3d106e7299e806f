#include "harness/commands/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "harness/device.h"
#include "harness/printable.h"
#include "model/base/error.h"
#include "model/base/size.h"
#include "model/execution/region.h"
#include "model/training/hf_config.h"
#include "model/training/hf_export.h"

namespace stepscope {

namespace {

// What folders say and is not done here, once each.
void tell_notes(const Matrix& matrix) {
  std::set<std::string> folders;
  for (const MatrixCell& cell : matrix.cells)
    if (!cell.configuration.hf.empty()) folders.insert(cell.configuration.hf);
  for (const std::string& folder : folders)
    for (const std::string& note : read_hf_config(folder).notes) fmt::print(stderr, "note: {}\n", one_line(note));
}

}  // namespace

Matrix ConfigurationOptions::read(const Assignments& overrides) const {
  if (matrix.empty() && preset.empty() && hf.empty() && sets.empty()) {
    std::vector<std::string> names;
    for (const Preset& known : presets()) names.emplace_back(known.name);
    throw UsageError(fmt::format("a MATRIX.toml, --hf DIR or --preset is needed: {}", fmt::join(names, ", ")));
  }
  Matrix read = matrix.empty() ? matrix_of(overrides) : read_matrix(matrix, overrides);
  tell_notes(read);
  return read;
}

std::string ConfigurationOptions::as_arguments() const {
  std::vector<std::string> parts;
  if (!matrix.empty()) parts.push_back(shell_quoted(matrix.starts_with('-') ? "./" + matrix : matrix));
  if (!preset.empty()) parts.push_back("--preset " + shell_quoted(preset));
  if (!hf.empty()) parts.push_back("--hf " + shell_quoted(hf));
  if (!source.empty()) parts.push_back("--data " + shell_quoted(source));
  for (const std::string& set : sets) parts.push_back("--set " + shell_quoted(set));
  return fmt::format("{}", fmt::join(parts, " "));
}

void add_configuration_options(CLI::App& command, ConfigurationOptions& options) {
  command.add_option("matrix", options.matrix, "a matrix file")->type_name("MATRIX.toml");
  command.add_option("--preset", options.preset, "what the fields start from (over the file's)")->type_name("P");
  command.add_option("--hf", options.hf, "a Hugging Face folder: GPT-2, Llama, Qwen2, Qwen3 (over the file's preset)")
      ->type_name("DIR");
  command.add_option("--data", options.source, "synthetic, text:PATH or tokens:FILE (over the file's)")
      ->type_name("SOURCE");
  // One value an option: a second word would be taken for the matrix file.
  command.add_option("--set", options.sets, "FIELD=VALUE, over the file's; may be repeated")
      ->type_name("FIELD=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  command.footer(describe_fields);
}

void add_json_option(CLI::App& command, bool& json) { command.add_flag("--json", json, "one JSON object a line"); }

Machine machine_of(int threads) { return machine_on("cpu", threads); }

CLI::Option* add_device_option(CLI::App& command, std::string& device) {
  return command.add_option("--device", device, "what it runs on: cpu, cuda, or cuda:N for card N")
      ->type_name("DEVICE")
      ->capture_default_str();
}

void add_threads_option(CLI::App& command, int& threads) {
  command.add_option("--threads", threads, "threads of the CPU machine; default: every processor")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

void add_memory_cap_option(CLI::App& command, std::string& size) {
  command.add_option("--memory-cap", size, "refuse states and arena beyond it, as a device of that size would")
      ->type_name("SIZE");
}

void cap_memory_to(const std::string& size) {
  if (!size.empty()) cap_memory(parse_bytes(size, "--memory-cap"));
}

Machine with_cap(Machine machine, const std::string& size) {
  if (size.empty()) return machine;
  machine.memory_bytes = std::min(machine.memory_bytes, parse_bytes(size, "--memory-cap"));
  machine.copies_states = false;  // the cap does not count them
  return machine;
}

void add_export_option(CLI::App& command, std::string& target) {
  command.add_option("--export", target, "the parameters in the end, as a folder that transformers loads")
      ->type_name("hf:DIR");
}

std::filesystem::path export_folder_of(const std::string& target, const Configuration& configuration) {
  if (target.empty()) return {};
  if (!target.starts_with("hf:") || target.size() == 3)
    throw UsageError(fmt::format("--export {}: hf:DIR is needed, a Hugging Face folder to be made", target));
  const std::filesystem::path folder = target.substr(3);
  try {
    require_exportable(configuration.model, folder);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("--export {}: {}", target, error.what()));
  }
  return folder;
}

CLI::Validator above_zero(const std::string& unit) {
  const auto check = [unit](const std::string& text) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && std::isfinite(number) && number > 0 ? "" : fmt::format("{}: {}, above 0", text, unit);
  };
  return CLI::Validator(check, "");
}

std::int64_t parse_bytes(const std::string& text, const std::string& option) {
  if (const std::optional<std::int64_t> bytes = parse_size(text)) return *bytes;
  throw UsageError(
      fmt::format("{} = {}: a size from 1B to 1e9GiB is needed, a number with B, KiB, MiB, GiB, KB, MB or GB, as 24GiB",
                  option, text));
}

std::string shell_quoted(const std::string& text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+-") ==
                         std::string::npos;
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace stepscope
