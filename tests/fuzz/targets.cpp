#include "tests/fuzz/targets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "harness/matrix.h"
#include "harness/numerics.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/batch_file.h"
#include "model/training/byte_pair_tokenizer.h"
#include "model/training/hf_config.h"
#include "model/training/safetensors.h"
#include "model/training/token_file.h"
#include "profiles/cards.h"
#include "reports/calibration.h"
#include "reports/choices.h"
#include "reports/record.h"
#include "reports/self_test.h"
#include "reports/time_model_file.h"
#include "reports/tuning_file.h"
#include "reports/visit.h"

namespace stepscope::testing {

namespace fs = std::filesystem;

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void read_any_matrix(const fs::path& file) {
  const Matrix matrix = read_matrix(file.string(), {});
  require(!matrix.cells.empty(), "a matrix without a cell");
  std::vector<std::string> ids;
  for (const MatrixCell& cell : matrix.cells) {
    require(cell.id == cell_id(cell.configuration), "an id that is another configuration's");
    ids.push_back(cell.id);
  }
  std::sort(ids.begin(), ids.end());
  require(std::adjacent_find(ids.begin(), ids.end()) == ids.end(), "two cells of one id");
}

// What was read, written and read again, is the same.
void read_any_record(const fs::path& file) {
  const std::string once = to_json(read_record(file)).dump();
  write_atomically(file, once);
  require(to_json(read_record(file)).dump() == once, "a record that is another one when it is read again");
}

void read_any_card(const fs::path& file) {
  const CardFile card = read_card(file);
  for (const CardFigure& figure : card.figures)
    require(std::isfinite(figure.value) && figure.value >= 0, "a figure below zero, or none");
  require(card.card.memory_bytes > 0, "a card without memory");
}

void read_any_tensors(const fs::path& file) {
  const TensorFile read = read_safetensors(file);
  write_safetensors(file, read.tensors, read.metadata);
  const TensorFile again = read_safetensors(file);
  require(again.tensors.size() == read.tensors.size() && again.metadata == read.metadata,
          "other tensors when they are read again");
}

void read_any_batch(const fs::path& file) {
  const BatchFile batch = read_batch_file(file);
  require(batch.rows > 0 && batch.sequence > 0, "a batch without a token");
}

void read_any_tokens(const fs::path& file) {
  constexpr std::int64_t vocabulary = 50257;
  const TokenFile tokens(file.string(), vocabulary);
  std::vector<std::int32_t> all(static_cast<std::size_t>(tokens.count()));
  tokens.read(0, all);
  require(std::all_of(all.begin(), all.end(), [](std::int32_t token) { return token >= 0 && token < vocabulary; }),
          "a token outside the vocabulary");
}

void read_any_hf_config(const fs::path& file) {
  const HfConfig config = read_hf_config(file.parent_path());
  require(!config.architecture.empty() && config.model.layers > 0, "a model of nothing");
}

// The two files of a vocabulary in one: encoder.json, a zero byte, vocab.bpe. What it encodes, it decodes.
void read_any_vocabulary(const fs::path& file) {
  const std::string both = read_file(file);
  const std::size_t end = std::min(both.find('\0'), both.size());
  const BytePairFiles files{(file.parent_path() / "encoder.json").string(),
                            (file.parent_path() / "vocab.bpe").string()};
  std::ofstream(files.vocabulary, std::ios::binary) << both.substr(0, end);
  std::ofstream(files.merges, std::ios::binary) << both.substr(std::min(end + 1, both.size()));
  const BytePairTokenizer tokenizer(files);
  const std::string text = "In the beginning 42 \xC3\xA4\n\n  was";
  std::vector<Token> tokens;
  tokenizer.encode(text, tokens);
  require(tokenizer.decode(std::vector<std::int32_t>(tokens.begin(), tokens.end())) == text, "another text comes back");
}

template <auto read>
void only_read(const fs::path& file) {
  (void)read(file);
}

constexpr std::array<FuzzTarget, 15> targets{{
    {"batch", "batch.safetensors", read_any_batch},
    {"calibration", "calibration.json", only_read<read_calibration>},
    {"card", "card.toml", read_any_card},
    {"choices", "choices.json", only_read<read_choices>},
    {"hf_config", "config.json", read_any_hf_config},
    {"matrix", "matrix.toml", read_any_matrix},
    {"numerics", "numerics.safetensors", only_read<read_numerics>},
    {"record", "record.json", read_any_record},
    {"safetensors", "weights.safetensors", read_any_tensors},
    {"self_test", "self-test.json", only_read<read_self_test>},
    {"time_model", "time_model.json", only_read<read_time_model>},
    {"tokens", "train.bin", read_any_tokens},
    {"tuning", "tuning.json", only_read<read_tuning>},
    {"visit", "visit-1.json", only_read<read_visit>},
    {"vocabulary", "both", read_any_vocabulary},
}};

}  // namespace

std::span<const FuzzTarget> fuzz_targets() { return targets; }

const FuzzTarget& fuzz_target(std::string_view name) {
  const auto found = std::find_if(targets.begin(), targets.end(), [&](const FuzzTarget& t) { return t.name == name; });
  if (found == targets.end()) throw std::out_of_range("no fuzz target " + std::string(name));
  return *found;
}

std::string feed(const FuzzTarget& target, const fs::path& folder, std::string_view bytes) {
  const fs::path file = folder / target.file;
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  std::string refused;
  try {
    target.read(file);
  } catch (const UsageError& error) {
    refused = error.what();
  } catch (const Unsupported& error) {
    refused = error.what();
  } catch (const TextError& error) {
    refused = error.what();
  }
  require(refused.find('\n') == std::string::npos, "refused in more than one line");
  return refused;
}

}  // namespace stepscope::testing
