#include "model/training/token_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::int64_t token_bytes = 2, header_bytes = 256 * 4, looked_through_bytes = std::int64_t{256} << 20;
constexpr std::int32_t magic = 20240520, known_version = 1;

std::int32_t header_word(const InputFile& file, std::int64_t index) {
  std::int32_t word = 0;
  file.read(static_cast<std::uint64_t>(4 * index), std::as_writable_bytes(std::span(&word, 1)));
  return word;
}

}  // namespace

TokenFile::TokenFile(const std::string& path, std::int64_t vocabulary)
    : path_(path), file_(path), vocabulary_(vocabulary) {
  const auto size = static_cast<std::int64_t>(file_.size_bytes());
  if (size >= header_bytes && header_word(file_, 0) == magic) {
    first_byte_ = header_bytes;
    count_ = header_word(file_, 2);
    if (const std::int32_t version = header_word(file_, 1); version != known_version)
      throw UsageError(fmt::format("{}: is of version {} of llm.c's token files, {} is known (uint16, GPT-2's tokens)",
                                   path, version, known_version));
    if (count_ < 0 || size != header_bytes + count_ * token_bytes)
      throw UsageError(fmt::format("{}: its header tells of {} tokens, so {} bytes are needed; it has {}", path, count_,
                                   header_bytes + count_ * token_bytes, size));
  } else {
    if (size % token_bytes != 0)
      throw UsageError(fmt::format("{}: has {} bytes, an even number is needed: two bytes a token", path, size));
    count_ = size / token_bytes;
  }
  if (size <= looked_through_bytes) check_all();
}

void TokenFile::check_all() const {
  std::vector<std::int32_t> part(1 << 16);
  for (std::int64_t begin = 0; begin < count_; begin += std::ssize(part))
    read(begin, std::span(part).first(static_cast<std::size_t>(std::min(std::ssize(part) + 0L, count_ - begin))));
}

void TokenFile::read(std::int64_t begin, std::span<std::int32_t> tokens) const {
  std::array<std::uint16_t, 4096> part;
  for (std::size_t done = 0; done < tokens.size(); done += part.size()) {
    const std::span<std::uint16_t> now = std::span(part).first(std::min(part.size(), tokens.size() - done));
    const std::int64_t at = begin + static_cast<std::int64_t>(done);
    file_.read(static_cast<std::uint64_t>(first_byte_ + at * token_bytes), std::as_writable_bytes(now));
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] >= vocabulary_)
        throw UsageError(fmt::format("{}: token {} is {}, but model.vocabulary = {}: at least {} is needed", path_,
                                     at + static_cast<std::int64_t>(i), now[i], vocabulary_, now[i] + 1));
      tokens[done + i] = now[i];
    }
  }
}

}  // namespace stepscope
