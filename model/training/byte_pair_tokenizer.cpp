#include "model/training/byte_pair_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <queue>
#include <tuple>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/json.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t most_tokens = 65536;
constexpr std::size_t longest_known = 64, most_known = 1 << 18;  // words that are kept: bytes, number
constexpr std::string_view end_of_text = "<|endoftext|>";

// Spaces are Unicode's White_Space, as in Python and Rust; PCRE2's own \s lacks U+0085.
constexpr std::string_view pattern = R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{Z}\x09-\x0d\x{85}\p{L}\p{N}]+)"
                                     R"(|[\p{Z}\x09-\x0d\x{85}]+(?![^\p{Z}\x09-\x0d\x{85}])|[\p{Z}\x09-\x0d\x{85}]+)";

// Bytes that are printable in Latin-1 stand for themselves in the files; the others, in order, for U+0100 onwards.
bool stands_for_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

const std::array<int, 512>& byte_of_character() {
  static const std::array<int, 512> table = [] {
    std::array<int, 512> bytes;
    bytes.fill(-1);
    std::size_t next = 256;
    for (int byte = 0; byte < 256; ++byte)
      bytes[stands_for_itself(byte) ? static_cast<std::size_t>(byte) : next++] = byte;
    return bytes;
  }();
  return table;
}

// Bytes that characters of the files stand for; a special token's name, which has other characters, stays as it is.
std::string bytes_of(std::string_view name) {
  std::string bytes;
  for (std::size_t i = 0; i < name.size(); ++i) {
    std::size_t character = static_cast<unsigned char>(name[i]);
    if (character >= 0xc2 && character <= 0xc7 && i + 1 < name.size())
      character = (character & 0x1f) << 6 | (static_cast<unsigned char>(name[++i]) & 0x3f);
    else if (character >= 0x80)
      return std::string(name);
    const int byte = byte_of_character()[character];
    if (byte < 0) return std::string(name);
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

std::string error_text(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <auto release>
struct Release {
  void operator()(auto* object) const { release(object); }
};

}  // namespace

// The text's words one after the other.
class BytePairTokenizer::Words {
 public:
  Words() {
    int error = 0;
    std::size_t offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF | PCRE2_UCP,
                              &error, &offset, nullptr));
    if (code_ == nullptr) throw MachineError("PCRE2 does not take the pattern of words: " + error_text(error));
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // only faster: it may be missing
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    if (match_ == nullptr) throw std::bad_alloc();
  }

  template <class Visit>
  void each(std::string_view text, const Visit& visit) const {
    std::uint32_t checked = 0;  // UTF-8 is checked by the first call
    for (std::size_t begin = 0; begin < text.size(); checked = PCRE2_NO_UTF_CHECK) {
      const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), begin,
                                     checked, match_.get(), nullptr);
      if (result < 0 && checked == 0 && result >= PCRE2_ERROR_UTF8_ERR21 && result <= PCRE2_ERROR_UTF8_ERR1)
        throw TextError(fmt::format("byte {} begins no UTF-8 character ({})", pcre2_get_startchar(match_.get()),
                                    error_text(result)));
      if (result < 0) throw MachineError("PCRE2 cannot cut the text into words: " + error_text(result));
      const std::size_t end = pcre2_get_ovector_pointer(match_.get())[1];
      visit(text.substr(begin, end - begin));  // every character is in some word: they leave no gap
      begin = end;
    }
  }

 private:
  std::unique_ptr<pcre2_code, Release<pcre2_code_free>> code_;
  std::unique_ptr<pcre2_match_data, Release<pcre2_match_data_free>> match_;
};

BytePairFiles byte_pair_files_in(const std::string& folder) {
  for (const auto& [vocabulary, merges] :
       {std::pair("encoder.json", "vocab.bpe"), std::pair("vocab.json", "merges.txt")}) {
    const fs::path first = fs::path(folder) / vocabulary, second = fs::path(folder) / merges;
    std::error_code error;
    if (fs::exists(first, error) && fs::exists(second, error)) return {first.string(), second.string()};
  }
  throw UsageError(
      fmt::format("data.tokenizer = \"gpt2:{}\": the folder must hold encoder.json and vocab.bpe, or vocab.json and "
                  "merges.txt",
                  folder));
}

BytePairTokenizer::BytePairTokenizer(const BytePairFiles& files)
    : vocabulary_path_(files.vocabulary), words_(std::make_unique<Words>()) {
  read_vocabulary(files.vocabulary);
  read_merges(files.merges);
}

BytePairTokenizer::~BytePairTokenizer() = default;

void BytePairTokenizer::read_vocabulary(const std::string& path) {
  const nlohmann::json numbers = parse_json<nlohmann::json>(read_file(path)).json.value_or(nullptr);
  if (!numbers.is_object() || numbers.empty())
    throw UsageError(path + ": must be a JSON object that gives each token its number");
  const auto count = static_cast<std::int64_t>(numbers.size());
  if (count > most_tokens)
    throw UsageError(fmt::format("{}: has {} tokens, at most {} are supported", path, count, most_tokens));
  pieces_.resize(numbers.size());
  std::vector<bool> met(numbers.size());
  for (const auto& [name, number] : numbers.items()) {
    const std::int64_t token = number.is_number_integer() ? number.get<std::int64_t>() : -1;
    if (token < 0 || token >= count || met[static_cast<std::size_t>(token)])
      throw UsageError(fmt::format("{}: \"{}\" has number {}, but {} tokens need 0 to {} once each", path, name,
                                   number.dump(), count, count - 1));
    met[static_cast<std::size_t>(token)] = true;
    pieces_[static_cast<std::size_t>(token)] = bytes_of(name);
    tokens_[pieces_[static_cast<std::size_t>(token)]] = static_cast<Token>(token);
    if (name == end_of_text) start_ = static_cast<std::int32_t>(token);
  }
  for (int byte = 0; byte < 256; ++byte) {
    const auto found = tokens_.find(std::string(1, static_cast<char>(byte)));
    if (found == tokens_.end()) throw UsageError(fmt::format("{}: has no token for the byte 0x{:02x}", path, byte));
    of_byte_.push_back(found->second);
  }
}

void BytePairTokenizer::read_merges(const std::string& path) {
  const std::string text = read_file(path);
  std::int64_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    begin = end + 1, ++line_number;
    if (line.empty() || (line_number == 1 && line.starts_with("#version"))) continue;
    add_merge(line, fmt::format("{}:{}", path, line_number));
  }
}

void BytePairTokenizer::add_merge(std::string_view line, const std::string& where) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos)
    throw UsageError(where + ": must be two tokens with one space between them");
  const std::string left = bytes_of(line.substr(0, space)), right = bytes_of(line.substr(space + 1));
  const std::uint32_t pair = static_cast<std::uint32_t>(piece_named(left, where)) << 16 | piece_named(right, where);
  merges_.try_emplace(pair, Merge{static_cast<std::int32_t>(merges_.size()), piece_named(left + right, where)});
}

Token BytePairTokenizer::piece_named(const std::string& bytes, const std::string& where) const {
  const auto found = tokens_.find(bytes);
  if (found == tokens_.end())
    throw UsageError(fmt::format("{}: needs the token \"{}\", which {} does not have", where, bytes, vocabulary_path_));
  return found->second;
}

const BytePairTokenizer::Merge* BytePairTokenizer::merge_of(Token left, Token right) const {
  const auto found = merges_.find(static_cast<std::uint32_t>(left) << 16 | right);
  return found == merges_.end() ? nullptr : &found->second;
}

// The pair of least rank first, the leftmost of equal ones. Parts are a list that shrinks; a pair in the queue that has changed
// meanwhile is passed over. n log n: a word may be as long as a text.
std::vector<Token> BytePairTokenizer::merged(std::string_view word) const {
  constexpr std::size_t none = -1;
  struct Part {
    Token token;
    bool gone;
    std::size_t before, after;
  };
  std::vector<Part> parts;
  for (std::size_t i = 0; i < word.size(); ++i)
    parts.push_back({of_byte_[static_cast<unsigned char>(word[i])], false, i == 0 ? none : i - 1,
                     i + 1 == word.size() ? none : i + 1});
  using Pair = std::tuple<std::int32_t, std::size_t, Token, Token>;  // rank, left part, both tokens
  std::priority_queue<Pair, std::vector<Pair>, std::greater<>> pairs;
  const auto offer = [&](std::size_t left) {
    if (left == none || parts[left].after == none) return;
    const Token first = parts[left].token, second = parts[parts[left].after].token;
    if (const Merge* merge = merge_of(first, second)) pairs.emplace(merge->rank, left, first, second);
  };
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) offer(i);
  while (!pairs.empty()) {
    const auto [rank, at, first, second] = pairs.top();
    pairs.pop();
    Part& left = parts[at];
    if (left.gone || left.token != first || left.after == none || parts[left.after].token != second) continue;
    left.token = merge_of(first, second)->whole;
    Part& right = parts[left.after];
    right.gone = true;
    left.after = right.after;
    if (left.after != none) parts[left.after].before = at;
    offer(left.before);
    offer(at);
  }
  std::vector<Token> tokens;
  for (std::size_t i = 0; i != none && i < parts.size(); i = parts[i].after) tokens.push_back(parts[i].token);
  return tokens;
}

void BytePairTokenizer::encode(std::string_view text, std::vector<Token>& tokens) const {
  std::string key;
  words_->each(text, [&](std::string_view word) {
    key = word;
    auto found = known_.find(key);
    if (found == known_.end()) {
      const std::vector<Token> parts = merged(word);
      if (word.size() > longest_known || known_.size() >= most_known) {
        tokens.insert(tokens.end(), parts.begin(), parts.end());
        return;
      }
      found = known_.emplace(key, parts).first;
    }
    tokens.insert(tokens.end(), found->second.begin(), found->second.end());
  });
}

std::string BytePairTokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::string text;
  for (const std::int32_t token : tokens)  // a model's vocabulary may be padded beyond the tokenizer's
    text += token < vocabulary() ? pieces_[static_cast<std::size_t>(token)] : fmt::format("<{}>", token);
  return text;
}

}  // namespace stepscope
