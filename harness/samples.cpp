#include "harness/samples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "harness/matrix.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/document.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view header = "step,text\n";

// Bytes on one line: what is no printable character is shown as its escape.
std::string text_of(std::span<const std::int32_t> bytes) {
  std::string text;
  for (const std::int32_t byte : bytes) {
    if (byte == '\n')
      text += "\\n";
    else if (byte >= ' ' && byte < 127)
      text += static_cast<char>(byte);
    else
      text += fmt::format("\\x{:02x}", byte);
  }
  return text;
}

}  // namespace

Samples::Samples(const Configuration& configuration, const Machine& machine, const SamplingSettings& settings,
                 std::string prompt, fs::path file)
    : is_text_(configuration.data.source.starts_with("text:")),
      sampler_(configuration.model, configuration.training.sequence, recipe_of(configuration), machine),
      settings_(settings),
      prompt_(std::move(prompt)),
      file_(std::move(file)),
      rows_(header) {
  if (!prompt_.empty() && !is_text_)
    throw UsageError(
        fmt::format("--prompt: data.source = {} is no text; leave --prompt out", configuration.data.source));
  settings_.seed = configuration.training.seed;
}

void Samples::resume(std::int64_t step) {
  rows_ = header;
  if (!fs::exists(file_)) return;
  std::istringstream text(read_file(file_));
  std::string row;
  std::getline(text, row);
  while (std::getline(text, row))
    if (std::strtoll(row.c_str(), nullptr, 10) <= step) rows_ += row + '\n';
}

std::string Samples::write(std::int64_t step, const Program& trained, const Executor& parameters) {
  std::vector<std::int32_t> prompt;
  for (const char c : prompt_) prompt.push_back(static_cast<unsigned char>(c));
  std::vector<std::int32_t> tokens = sampler_.sample(trained, parameters, prompt, settings_);
  tokens.insert(tokens.begin(), prompt.begin(), prompt.end());
  const std::string text = is_text_ ? text_of(tokens) : fmt::format("{}", fmt::join(tokens, " "));
  rows_ += csv_of({std::to_string(step), text}, {});
  return text;
}

void Samples::save() const { write_atomically(file_, rows_); }

}  // namespace stepscope
