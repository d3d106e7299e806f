// Text without a file: a Markov chain of order 1 over the model's vocabulary, whose entropy is known, so that a loss can be judged.
//     const SyntheticSource source(shape);
//     source.entropy();   // nats a token: no model's mean loss stays below it, a good one comes close
// From token v the chain goes to v + 1 or to one of 3 to 7 others, drawn once from the seed, with probabilities that halve from one to the
// next: few and unequal, so that even a small model learns them in a hundred steps. Every token is reached. Rows begin in the chain's
// stationary distribution. Validation rows are other rows of the same chain, without end.
// The entropy rate is the sum over v of stationary(v) times the entropy of v's successors (Shannon 1948; Cover and Thomas, section 4.2).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "model/training/data_source.h"
#include "model/training/data_stream.h"

namespace stepscope {

class SyntheticSource final : public DataSource {
 public:
  explicit SyntheticSource(const BatchShape& shape);
  void fill(std::int64_t step, Batch& batch) const override;
  void fill_validation(std::int64_t index, Batch& batch) const override;
  [[nodiscard]] std::int64_t validation_batches() const override { return endless; }
  [[nodiscard]] std::optional<double> entropy() const override { return entropy_; }

  [[nodiscard]] double probability(std::int32_t from, std::int32_t to) const;
  [[nodiscard]] std::span<const double> stationary() const { return stationary_; }

 private:
  static constexpr int most = 8;
  struct Successors {  // successor j is taken when a random word is below ends[j] and not below ends[j - 1]
    int count = 0;
    std::array<std::int32_t, most> token{};
    std::array<std::uint64_t, most> ends{};  // the last is 2^32
  };
  [[nodiscard]] static double share(const Successors& successors, int j);  // exact: the words below it over 2^32

  void draw_chain();
  void find_stationary();
  void fill_rows(const DataStream& stream, std::int64_t step, Batch& batch) const;

  BatchShape shape_;
  std::vector<Successors> chain_;  // [vocabulary]
  std::vector<double> stationary_;  // [vocabulary]
  std::vector<double> cumulative_;  // [vocabulary] sums of stationary_
  double entropy_ = 0;
};

}  // namespace stepscope
