// A 64-bit hash that is the same on every machine and in every release: identities of cells, names of random streams, bitwise claims.
//     const std::uint64_t id = hash_of("blocks.0.mlp.up.weight");
// FNV-1a (Fowler, Noll, Vo; draft-eastlake-fnv), then a finaliser (MurmurHash3's) so that all 64 bits depend on the last characters too.
// Not for secrets: collisions are easy to make on purpose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace stepscope {

class Hash {
 public:
  constexpr Hash& add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<unsigned char>(c));
    return *this;
  }
  constexpr Hash& add(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) add_byte(std::to_integer<std::uint8_t>(b));
    return *this;
  }
  constexpr Hash& add(std::uint64_t number) {  // little-endian, whatever the machine is
    for (int shift = 0; shift < 64; shift += 8) add_byte(static_cast<std::uint8_t>(number >> shift));
    return *this;
  }
  [[nodiscard]] constexpr std::uint64_t value() const {
    std::uint64_t h = state_;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 33);
  }

 private:
  constexpr void add_byte(std::uint8_t byte) { state_ = (state_ ^ byte) * 0x100000001b3u; }
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

[[nodiscard]] constexpr std::uint64_t hash_of(std::string_view text) { return Hash().add(text).value(); }
[[nodiscard]] constexpr std::uint64_t hash_of(std::span<const std::byte> bytes) { return Hash().add(bytes).value(); }

// "9f86d081884c7d65": sixteen lower-case digits.
[[nodiscard]] inline std::string hexadecimal(std::uint64_t number) {
  std::string text(16, '0');
  for (int digit = 15; digit >= 0; --digit, number >>= 4)
    text[static_cast<std::size_t>(digit)] = "0123456789abcdef"[number & 15];
  return text;
}

}  // namespace stepscope
