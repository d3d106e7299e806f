#include "model/training/saved_state.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>
#include <string_view>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view schema = "stepscope.state/1";

std::string value_of(const std::filesystem::path& path, const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end())
    throw UsageError(fmt::format("{}: is no saved state: it has no '{}'", path.string(), key));
  return found->second;
}

template <class Number>
Number number_of(const std::filesystem::path& path, const Metadata& metadata, const std::string& key) {
  const std::string text = value_of(path, metadata, key);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    throw UsageError(fmt::format("{}: {} = '{}' is not a count", path.string(), key, text));
  return number;
}

std::map<std::string_view, std::string_view> lines_by_key(std::string_view configuration) {
  std::map<std::string_view, std::string_view> lines;
  while (!configuration.empty()) {
    const std::string_view line = configuration.substr(0, configuration.find('\n'));
    configuration.remove_prefix(std::min(configuration.size(), line.size() + 1));
    const std::size_t equals = line.find(" = ");
    if (!line.empty()) lines[line.substr(0, equals)] = equals == std::string_view::npos ? "" : line.substr(equals + 3);
  }
  return lines;
}

// The first key, in alphabetical order, that one lacks or that has two values.
std::optional<std::string> difference(std::string_view saved_text, std::string_view wanted_text,
                                      const std::set<std::string>& may_differ) {
  auto saved = lines_by_key(saved_text), wanted = lines_by_key(wanted_text);
  for (const std::string& key : may_differ) saved.erase(key), wanted.erase(key);
  for (const auto& [key, value] : saved) {
    const auto other = wanted.find(key);
    if (other == wanted.end()) return fmt::format("{} is {} there and not set here", key, value);
    if (other->second != value) return fmt::format("{} is {} there and {} here", key, value, other->second);
  }
  for (const auto& [key, value] : wanted)
    if (!saved.contains(key)) return fmt::format("{} is not set there and {} here", key, value);
  return std::nullopt;
}

}  // namespace

void write_saved_state(const std::filesystem::path& path, const SavedState& state) {
  write_safetensors(path, state.tensors,
                    {{"schema", std::string(schema)},
                     {"step", std::to_string(state.step)},
                     {"updates", std::to_string(state.updates)},
                     {"seed", std::to_string(state.seed)},
                     {"loss_scale", fmt::format("{}", state.loss_scale)},
                     {"clean_steps", std::to_string(state.clean_steps)},
                     {"configuration", state.configuration}});
}

SavedState read_saved_state(const std::filesystem::path& path, const std::string& configuration,
                            const std::set<std::string>& may_differ) {
  TensorFile file = read_safetensors(path);
  if (const std::string found = value_of(path, file.metadata, "schema"); found != schema)
    throw UsageError(fmt::format("{}: has the schema '{}', this program reads '{}'", path.string(), found, schema));
  SavedState state;
  state.configuration = value_of(path, file.metadata, "configuration");
  if (const auto differs = difference(state.configuration, configuration, may_differ))
    throw UsageError(fmt::format("{}: belongs to another configuration: {}", path.string(), *differs));
  state.step = number_of<std::int64_t>(path, file.metadata, "step");
  state.updates = number_of<std::int64_t>(path, file.metadata, "updates");
  if (state.updates > state.step)
    throw UsageError(fmt::format("{}: updates = {}: more than its {} steps", path.string(), state.updates, state.step));
  state.seed = number_of<std::uint64_t>(path, file.metadata, "seed");
  if (file.metadata.contains("loss_scale")) {  // files from before there was one have no scale but 1
    state.loss_scale = number_of<double>(path, file.metadata, "loss_scale");
    state.clean_steps = number_of<std::int64_t>(path, file.metadata, "clean_steps");
    if (!(state.loss_scale >= 1 && state.loss_scale <= 0x1p64))
      throw UsageError(fmt::format("{}: loss_scale = {}: must be from 1 to 2^64", path.string(), state.loss_scale));
  }
  state.tensors = std::move(file.tensors);
  return state;
}

}  // namespace stepscope
