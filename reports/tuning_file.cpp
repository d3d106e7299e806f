#include "reports/tuning_file.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "model/base/file.h"
#include "reports/json_fields.h"

namespace stepscope {

namespace {

struct Row {  // a choice as it is written
  std::string signature = {};
  std::vector<std::string> algorithm = {};
  MatmulChoice choice = {};
};
struct CardRows {
  std::string card = {};
  std::int64_t library = 0;
  std::vector<Row> matmuls = {};
};
struct Rows {
  std::vector<CardRows> cards = {};
};

void fields(auto& field, Of<Row> auto& row) {
  field("signature", row.signature);
  field("algorithm", row.algorithm);
  field("workspace_bytes", row.choice.workspace_bytes);
  field("split_k", row.choice.split_k);
  field("rank", row.choice.rank);
  field("tried", row.choice.tried);
  field("median_ns", row.choice.median_ns);
  field("first_ns", row.choice.first_ns);
}
void fields(auto& field, Of<CardRows> auto& rows) {
  field("card", rows.card);
  field("library", rows.library);
  field("matmuls", rows.matmuls);
}
void fields(auto& field, Of<Rows> auto& rows) { field("cards", rows.cards); }

std::optional<std::uint64_t> word_of(const std::string& text) {
  std::uint64_t word = 0;
  const char *const begin = text.data(), *const end = begin + text.size();
  if (!text.starts_with("0x")) return std::nullopt;
  const auto [past, error] = std::from_chars(begin + 2, end, word, 16);
  if (error != std::errc{} || past != end) return std::nullopt;
  return word;
}

class Checked {  // one row, or an error that names the key
 public:
  Checked(const Row& row, const nlohmann::ordered_json& json, const Place& place)
      : row_(row), json_(json), place_(place) {}

  MatmulChoice choice() const {
    constexpr double longest_ns = 3600e9;
    constexpr std::int64_t most_workspace = std::int64_t{1} << 30;
    MatmulChoice choice = row_.choice;
    require(!row_.signature.empty(), "signature", "the matmul's signature");
    constexpr const char* words = "eight words as \"0x1f\"";
    require(row_.algorithm.size() == algorithm_words, "algorithm", words);
    for (std::size_t i = 0; i < algorithm_words; ++i) {
      const std::optional<std::uint64_t> word = word_of(row_.algorithm[i]);
      require(word.has_value(), "algorithm", words);
      choice.algorithm[i] = *word;
    }
    require(choice.workspace_bytes >= 0 && choice.workspace_bytes <= most_workspace, "workspace_bytes",
            "bytes, 0 to 1073741824");
    require(choice.split_k >= 1 && choice.split_k <= 65536, "split_k", "a number of parts, 1 to 65536");
    require(choice.tried >= 1 && choice.tried <= 1000, "tried", "a number of algorithms, 1 to 1000");
    require(choice.rank >= 0 && choice.rank < choice.tried, "rank", "a place among those that were tried, from 0");
    for (const auto& [key, ns] : {std::pair("median_ns", choice.median_ns), std::pair("first_ns", choice.first_ns)})
      require(ns > 0 && ns <= longest_ns, key, "a time above 0, at most an hour");
    return choice;
  }

 private:
  void require(bool right, const char* key, std::string_view expected) const {
    if (!right) wrong(place_.in(key), json_[key], expected);
  }
  const Row& row_;
  const nlohmann::ordered_json& json_;
  const Place& place_;
};

MatmulTuning tuning_of(const CardRows& rows, const nlohmann::ordered_json& json, const Place& place) {
  if (rows.card.empty()) wrong(place.in("card"), json["card"], "a card's UUID");
  if (rows.library < 1) wrong(place.in("library"), json["library"], "cuBLASLt's version, as 130100");
  MatmulTuning tuning{.card = rows.card, .library = rows.library};
  for (std::size_t i = 0; i < rows.matmuls.size(); ++i) {
    const Place row = place.in("matmuls").in(std::to_string(i));
    const MatmulChoice choice = Checked(rows.matmuls[i], json["matmuls"][i], row).choice();
    if (!tuning.choices.emplace(rows.matmuls[i].signature, choice).second)
      wrong(row.in("signature"), json["matmuls"][i]["signature"], "each matmul once");
  }
  return tuning;
}

Row row_of(const std::string& signature, const MatmulChoice& choice) {
  Row row{.signature = signature, .choice = choice};
  for (const std::uint64_t word : choice.algorithm) row.algorithm.push_back(fmt::format("{:#x}", word));
  return row;
}

}  // namespace

const MatmulTuning* TuningFile::of(std::string_view card, std::int64_t library) const {
  const auto found = std::ranges::find_if(
      cards, [&](const MatmulTuning& tuning) { return tuning.card == card && tuning.library == library; });
  return found == cards.end() ? nullptr : &*found;
}

void TuningFile::put(MatmulTuning tuning) {
  std::erase_if(cards,
                [&](const MatmulTuning& one) { return one.card == tuning.card && one.library == tuning.library; });
  cards.push_back(std::move(tuning));
}

TuningFile read_tuning(const std::filesystem::path& file) {
  const nlohmann::ordered_json json = parse_json_file(file.string());
  require_schema(json, tuning_schema, file.string());
  Rows rows;
  const Place place{file.string(), ""};
  read(json, rows, place);
  TuningFile tuning;
  for (std::size_t i = 0; i < rows.cards.size(); ++i) {
    const Place card = place.in("cards").in(std::to_string(i));
    MatmulTuning one = tuning_of(rows.cards[i], json["cards"][i], card);
    if (tuning.of(one.card, one.library) != nullptr)
      wrong(card.in("card"), json["cards"][i]["card"], "each card once with a library");
    tuning.cards.push_back(std::move(one));
  }
  return tuning;
}

void write_tuning(const std::filesystem::path& file, const TuningFile& tuning) {
  Rows rows;
  for (const MatmulTuning& one : tuning.cards) {
    CardRows& card = rows.cards.emplace_back(CardRows{.card = one.card, .library = one.library});
    for (const auto& [signature, choice] : one.choices) card.matmuls.push_back(row_of(signature, choice));
  }
  nlohmann::ordered_json json{{"schema", tuning_schema}};
  json.update(written(rows));
  write_atomically(file, json.dump(2) + "\n");
}

}  // namespace stepscope
