// The random numbers of data sources: a stream is named by what it is for, and its numbers by (step, row, position).
//     const DataStream stream{seed, DataStream::Use::training};
//     stream.below(offsets, step, row);      // one of 0 .. offsets - 1
#pragma once

#include <cstdint>

#include "model/base/philox.h"

namespace stepscope {

struct DataStream {
  enum class Use : std::uint32_t {
    training = 0xda7a0001u,
    validation = 0xda7a0002u,
    chain = 0xda7a0003u,
    sampling = 0xda7a0004u
  };
  std::uint64_t seed = 0;
  Use use = Use::training;

  [[nodiscard]] Words4 words(std::int64_t step, std::int64_t row, std::int64_t block = 0) const {
    const auto t = static_cast<std::uint64_t>(step);
    return philox(static_cast<std::uint32_t>(seed),
                  static_cast<std::uint32_t>(seed >> 32) ^ static_cast<std::uint32_t>(use),
                  {{static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(row), static_cast<std::uint32_t>(t),
                    static_cast<std::uint32_t>(t >> 32)}});
  }

  // Uniform to within count / 2^64 (Lemire 2019, arXiv:1805.10941, without the rejection).
  [[nodiscard]] std::int64_t below(std::int64_t count, std::int64_t step, std::int64_t row) const {
    const Words4 r = words(step, row);
    const std::uint64_t bits = std::uint64_t{r.word[0]} << 32 | r.word[1];
    return static_cast<std::int64_t>((static_cast<unsigned __int128>(bits) * static_cast<std::uint64_t>(count)) >> 64);
  }
};

}  // namespace stepscope
