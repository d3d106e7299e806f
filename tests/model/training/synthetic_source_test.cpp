// The Markov source: its entropy is that of what it emits, and its stationary distribution is one.
#include "model/training/synthetic_source.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

namespace stepscope {
namespace {

SyntheticSource source_of(std::int64_t vocabulary, std::uint64_t seed = 1, std::int64_t rows = 16,
                          std::int64_t sequence = 500) {
  return SyntheticSource({.rows = rows, .sequence = sequence, .vocabulary = vocabulary, .seed = seed});
}

TEST(SyntheticSource, probabilities_and_stationary_distribution_hold_together) {
  for (const std::int64_t vocabulary : {1, 2, 3, 7, 64}) {
    const SyntheticSource source = source_of(vocabulary);
    std::vector<double> next(static_cast<std::size_t>(vocabulary));
    double entropy = 0, total = 0;
    for (std::int32_t from = 0; from < vocabulary; ++from) {
      const double share = source.stationary()[static_cast<std::size_t>(from)];
      double sum = 0;
      for (std::int32_t to = 0; to < vocabulary; ++to) {
        const double p = source.probability(from, to);
        sum += p;
        next[static_cast<std::size_t>(to)] += share * p;
        if (p > 0) entropy -= share * p * std::log(p);
      }
      EXPECT_NEAR(sum, 1, 1e-14) << vocabulary;
      EXPECT_GT(share, 0);
      total += share;
    }
    EXPECT_NEAR(total, 1, 1e-12);
    for (std::size_t v = 0; v < next.size(); ++v) EXPECT_NEAR(next[v], source.stationary()[v], 1e-12) << vocabulary;
    EXPECT_NEAR(source.entropy().value(), entropy, 1e-12);
  }
}

TEST(SyntheticSource, one_token_has_no_entropy) { EXPECT_EQ(source_of(1).entropy(), 0.0); }

TEST(SyntheticSource, is_sparse_and_unequal) {
  const SyntheticSource source = source_of(256);
  for (std::int32_t from = 0; from < 256; ++from) {
    int successors = 0;
    double largest = 0;
    for (std::int32_t to = 0; to < 256; ++to) {
      successors += source.probability(from, to) > 0;
      largest = std::max(largest, source.probability(from, to));
    }
    EXPECT_GE(successors, 4);
    EXPECT_LE(successors, 8);
    EXPECT_GT(largest, 0.5);
  }
  EXPECT_LT(source.entropy().value(), 0.3 * std::log(256));
}

// Mean of -log p over what is emitted: it must approach the entropy rate, in training and in validation. A token's surprise deviates by
// less than 1.1 nats, neighbours are nearly independent: five standard deviations of the mean of 400,000 are below 0.01.
TEST(SyntheticSource, what_it_emits_has_its_entropy) {
  const SyntheticSource source = source_of(64);
  Batch batch;
  for (const bool validation : {false, true}) {
    double surprise = 0;
    std::int64_t count = 0;
    for (std::int64_t step = 0; step < 50; ++step) {
      validation ? source.fill_validation(step, batch) : source.fill(step, batch);
      for (std::size_t i = 0; i < batch.tokens.size(); ++i, ++count)
        surprise -= std::log(source.probability(batch.tokens[i], batch.targets[i]));
    }
    EXPECT_EQ(count, 400000);
    EXPECT_NEAR(surprise / static_cast<double>(count), source.entropy().value(), 0.01);
  }
}

// Nobody told the source's model to the counter: the entropy estimated from counts of pairs alone agrees as well.
TEST(SyntheticSource, counted_pairs_have_its_entropy) {
  const SyntheticSource source = source_of(16);
  std::map<std::pair<int, int>, double> pairs;
  std::map<int, double> firsts;
  Batch batch;
  double count = 0;
  for (std::int64_t step = 0; step < 50; ++step) {
    source.fill(step, batch);
    for (std::size_t i = 0; i < batch.tokens.size(); ++i, ++count)
      ++pairs[{batch.tokens[i], batch.targets[i]}], ++firsts[batch.tokens[i]];
  }
  double entropy = 0;
  for (const auto& [pair, n] : pairs) entropy -= n / count * std::log(n / firsts[pair.first]);
  EXPECT_NEAR(entropy, source.entropy().value(), 0.01);
  for (const auto& [token, n] : firsts)
    EXPECT_NEAR(n / count, source.stationary()[static_cast<std::size_t>(token)], 0.01);
}

TEST(SyntheticSource, rows_begin_in_the_stationary_distribution) {
  const SyntheticSource source = source_of(8, 1, 1000, 1);
  std::vector<double> begins(8);
  Batch batch;
  for (std::int64_t step = 0; step < 100; ++step) {
    source.fill(step, batch);
    for (const std::int32_t token : batch.tokens) begins[static_cast<std::size_t>(token)] += 1e-5;
  }
  for (std::size_t v = 0; v < 8; ++v) EXPECT_NEAR(begins[v], source.stationary()[v], 5 * 0.5 / std::sqrt(1e5)) << v;
}

TEST(SyntheticSource, training_and_validation_are_different_rows_of_one_chain) {
  const SyntheticSource source = source_of(64);
  Batch training, validation;
  source.fill(0, training);
  source.fill_validation(0, validation);
  EXPECT_NE(training.tokens, validation.tokens);
  EXPECT_NE(source.entropy(), source_of(64, 2).entropy());  // another seed, another chain
}

}  // namespace
}  // namespace stepscope
