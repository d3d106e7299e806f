#include "harness/run_identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include "harness/session.h"
#include "model/base/hash.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t most_in_words = 3;

std::string model_in_words(const Configuration& c) {
  const ModelSettings& m = c.model;
  const std::string base = c.hf.empty() ? c.preset : name_of_folder(c.hf);
  return fmt::format("{}{} layers, hidden {}, {} heads, sequence {}, vocabulary {}", base.empty() ? "" : base + ": ",
                     m.layers, m.hidden, m.heads, c.training.sequence, m.vocabulary);
}

std::string source_in_words(const DataSettings& data) {
  const std::string path = file_of(data.source);
  if (path.empty()) return data.source;
  const std::string kind = data.source.substr(0, data.source.find(':')) + " " + fs::path(path).filename().string();
  const std::string tokenizer = data.tokenizer.substr(0, data.tokenizer.find(':'));
  return fmt::format("{}{}{}", kind, data.source.starts_with("text:") ? ", by " + tokenizer : "",
                     data.rows == "lines" ? ", a line a row" : "");
}

// Each once, in the order of the cells.
template <class InWords>
std::string each_once(const Matrix& matrix, const char* plural, const InWords& in_words) {
  std::vector<std::string> texts;
  for (const MatrixCell& cell : matrix.cells)
    if (std::string text = in_words(cell.configuration); std::find(texts.begin(), texts.end(), text) == texts.end())
      texts.push_back(std::move(text));
  if (texts.size() > most_in_words) return fmt::format("{} {}", texts.size(), plural);
  return fmt::format("{}", fmt::join(texts, "; "));
}

}  // namespace

std::string matrix_hash(const Matrix& matrix) {
  Hash hash;
  for (const MatrixCell& cell : matrix.cells) hash.add(canonical_text(cell.configuration)).add(cell.excluded_by);
  const MeasureSettings& m = matrix.measure;
  hash.add(fmt::format("{} {} {} {}", m.warmup_steps, m.timed_steps, m.profiled_steps, m.learning_steps));
  return hexadecimal(hash.value());
}

std::string data_hash(const Matrix& matrix) {
  Hash hash;
  std::set<std::string> seen;  // cells share files
  for (const MatrixCell& cell : matrix.cells) {
    const Configuration& c = cell.configuration;
    if (seen.insert(fmt::format("{}\n{}\n{}\n{}", c.data.source, c.data.tokenizer, mask_file_of(c.model), c.hf)).second)
      hash.add(file_hashes(c));
  }
  return hexadecimal(hash.value());
}

std::string models_in_words(const Matrix& matrix) {
  return each_once(matrix, "models", [](const Configuration& c) { return model_in_words(c); });
}

std::string data_in_words(const Matrix& matrix) {
  return each_once(matrix, "sources", [](const Configuration& c) { return source_in_words(c.data); });
}

}  // namespace stepscope
