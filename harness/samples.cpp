#include "harness/samples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "harness/matrix.h"
#include "harness/printable.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/document.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view header = "step,text\n";

// What is no printable character is shown as its escape.
std::string on_one_line(std::string_view text) {
  std::string line;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    line += printable(text.substr(0, end));
    if (end == std::string_view::npos) break;
    line += "\\n";
    text.remove_prefix(end + 1);
  }
  return line;
}

// A file of tokens is text where its tokenizer is given.
std::unique_ptr<Tokenizer> tokenizer_of(const DataSettings& data) {
  const bool is_text = data.source.starts_with("text:") || data.tokenizer != DataSettings{}.tokenizer;
  return is_text ? make_tokenizer(data.tokenizer) : nullptr;
}

}  // namespace

Samples::Samples(const Configuration& configuration, const Machine& machine, const SamplingSettings& settings,
                 const std::string& prompt, fs::path file)
    : tokenizer_(tokenizer_of(configuration.data)),
      sampler_(configuration.model, configuration.training.sequence, recipe_of(configuration), machine),
      settings_(settings),
      file_(std::move(file)),
      rows_(header) {
  if (!prompt.empty() && tokenizer_ == nullptr)
    throw UsageError(
        fmt::format("--prompt: data.source = {} is no text; leave --prompt out", configuration.data.source));
  settings_.seed = configuration.training.seed;
  if (tokenizer_ == nullptr) return;
  settings_.start = tokenizer_->start();
  std::vector<Token> tokens;
  try {
    tokenizer_->encode(prompt, tokens);
  } catch (const TextError& error) {
    throw UsageError(fmt::format("--prompt: {}", error.what()));
  }
  prompt_.assign(tokens.begin(), tokens.end());
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
  std::vector<std::int32_t> tokens = sampler_.sample(trained, parameters, prompt_, settings_);
  tokens.insert(tokens.begin(), prompt_.begin(), prompt_.end());
  const std::string text =
      tokenizer_ != nullptr ? on_one_line(tokenizer_->decode(tokens)) : fmt::format("{}", fmt::join(tokens, " "));
  rows_ += csv_of({std::to_string(step), text}, {});
  return text;
}

void Samples::save() const { write_atomically(file_, rows_); }

}  // namespace stepscope
