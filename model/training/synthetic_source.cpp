#include "model/training/synthetic_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/base/error.h"

namespace stepscope {

SyntheticSource::SyntheticSource(const BatchShape& shape) : shape_(shape) {
  if (shape.vocabulary < 1)
    throw UsageError(fmt::format("model.vocabulary = {}: at least 1 is needed", shape.vocabulary));
  draw_chain();
  find_stationary();
  for (std::size_t v = 0; v < chain_.size(); ++v)
    for (int j = 0; j < chain_[v].count; ++j) {
      const double p = share(chain_[v], j);
      entropy_ -= stationary_[v] * p * std::log(p);
    }
}

double SyntheticSource::share(const Successors& successors, int j) {
  const auto at = static_cast<std::size_t>(j);
  return static_cast<double>(successors.ends[at] - (j == 0 ? 0 : successors.ends[at - 1])) * 0x1p-32;
}

// The step to v + 1 makes every token reachable from every other; it is as likely as any rank, drawn like the rest.
void SyntheticSource::draw_chain() {
  const DataStream stream{shape_.seed, DataStream::Use::chain};
  const std::int64_t vocabulary = shape_.vocabulary;
  chain_.resize(static_cast<std::size_t>(vocabulary));
  for (std::int64_t v = 0; v < vocabulary; ++v) {
    Successors& next = chain_[static_cast<std::size_t>(v)];
    const Words4 random = stream.words(-1, v);
    const int wanted = static_cast<int>(std::min<std::int64_t>(vocabulary, 4 + random.word[0] % 5));
    const auto taken = [&](std::int64_t token) {
      return std::count(next.token.begin(), next.token.begin() + next.count, token) > 0;
    };
    next.token[static_cast<std::size_t>(next.count++)] = static_cast<std::int32_t>((v + 1) % vocabulary);
    for (std::int64_t draw = 0; next.count < wanted; ++draw)
      if (const std::int64_t token = stream.below(vocabulary, draw, v); !taken(token))
        next.token[static_cast<std::size_t>(next.count++)] = static_cast<std::int32_t>(token);
    std::swap(next.token[0], next.token[random.word[1] % static_cast<std::uint32_t>(wanted)]);
    const double whole = 2 - std::ldexp(2.0, -wanted);  // 1 + 1/2 + 1/4 ...
    for (int j = 0; j < wanted; ++j)
      next.ends[static_cast<std::size_t>(j)] = static_cast<std::uint64_t>((2 - std::ldexp(1.0, -j)) / whole * 0x1p32);
    next.ends[static_cast<std::size_t>(wanted - 1)] = std::uint64_t{1} << 32;
  }
}

// Power iteration. Half of the mass stays where it is in each round, so that no cycle of the chain can keep it from settling.
void SyntheticSource::find_stationary() {
  stationary_.assign(chain_.size(), 1 / static_cast<double>(chain_.size()));
  std::vector<double> next(chain_.size());
  for (int round = 0; round < 10000; ++round) {
    for (std::size_t v = 0; v < chain_.size(); ++v) next[v] = 0.5 * stationary_[v];
    for (std::size_t v = 0; v < chain_.size(); ++v)
      for (int j = 0; j < chain_[v].count; ++j)
        next[static_cast<std::size_t>(chain_[v].token[static_cast<std::size_t>(j)])] +=
            0.5 * stationary_[v] * share(chain_[v], j);
    double change = 0;
    for (std::size_t v = 0; v < chain_.size(); ++v) change += std::fabs(next[v] - stationary_[v]);
    stationary_.swap(next);
    if (change < 1e-14) break;
  }
  double sum = 0;
  for (const double p : stationary_) cumulative_.push_back(sum += p);
}

double SyntheticSource::probability(std::int32_t from, std::int32_t to) const {
  const Successors& next = chain_[static_cast<std::size_t>(from)];
  for (int j = 0; j < next.count; ++j)
    if (next.token[static_cast<std::size_t>(j)] == to) return share(next, j);
  return 0;
}

void SyntheticSource::fill_rows(const DataStream& stream, std::int64_t step, Batch& batch) const {
  const auto elements = static_cast<std::size_t>(shape_.rows * shape_.sequence);
  batch.tokens.resize(elements);
  batch.targets.resize(elements);
  for (std::int64_t row = 0; row < shape_.rows; ++row) {
    Words4 random = stream.words(step, row);
    const double start = random.word[0] * 0x1p-32 * cumulative_.back();
    auto token = static_cast<std::int32_t>(std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, start) -
                                           cumulative_.begin());
    for (std::int64_t j = 0; j < shape_.sequence; ++j) {
      const std::int64_t draw = j + 1;
      if (draw % 4 == 0) random = stream.words(step, row, draw / 4);
      const Successors& next = chain_[static_cast<std::size_t>(token)];
      const auto chosen =
          std::upper_bound(next.ends.begin(), next.ends.begin() + next.count, std::uint64_t{random.word[draw % 4]});
      const auto at = static_cast<std::size_t>(row * shape_.sequence + j);
      batch.tokens[at] = token;
      token = next.token[static_cast<std::size_t>(chosen - next.ends.begin())];
      batch.targets[at] = token;
    }
  }
}

void SyntheticSource::fill(std::int64_t step, Batch& batch) const {
  fill_rows({shape_.seed, DataStream::Use::training}, step, batch);
}

void SyntheticSource::fill_validation(std::int64_t index, Batch& batch) const {
  fill_rows({shape_.seed, DataStream::Use::validation}, index, batch);
}

}  // namespace stepscope
