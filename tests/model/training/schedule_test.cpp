#include "model/training/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/base/error.h"

namespace stepscope {
namespace {

TEST(Schedule, seed_is_the_tutorials) {
  const Schedule schedule = schedule_named("seed", 4e-4, 10, 100);
  EXPECT_EQ(learning_rate_at(schedule, 0), 0);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 5), 2e-4);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 10), 4e-4);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 11), 4e-4 * 0.99);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 110), 4e-4 * std::pow(0.99, 100));
}

TEST(Schedule, cosine_rises_to_its_rate_and_falls_to_a_tenth) {
  const Schedule schedule = schedule_named("cosine", 1e-3, 4, 105);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 0), 0.25e-3);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 3), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 4), 1e-3);
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 54), 0.55e-3);  // half way from 4 to 104: the mean of both ends
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule, 104), 1e-4);
  for (const std::int64_t t : {105, 154, 204, 1000}) EXPECT_DOUBLE_EQ(learning_rate_at(schedule, t), 1e-4) << t;
  for (std::int64_t t = 4; t < 104; ++t)
    EXPECT_GT(learning_rate_at(schedule, t), learning_rate_at(schedule, t + 1)) << t;
}

TEST(Schedule, cosine_without_an_end_or_shorter_than_its_warmup) {
  EXPECT_DOUBLE_EQ(learning_rate_at(schedule_named("cosine", 1e-3, 0, 0), 1000), 1e-3);
  const Schedule short_one = schedule_named("cosine", 1e-3, 10, 5);
  for (std::int64_t t = 0; t < 20; ++t) {
    EXPECT_GT(learning_rate_at(short_one, t), 0) << t;
    EXPECT_LE(learning_rate_at(short_one, t), 1e-3) << t;
  }
}

TEST(Schedule, constant_has_no_warmup) {
  const Schedule schedule = schedule_named("constant", 3e-4, 10, 100);
  for (const std::int64_t t : {0, 5, 1000}) EXPECT_EQ(learning_rate_at(schedule, t), 3e-4);
}

TEST(Schedule, refuses_what_is_no_schedule) {
  EXPECT_THROW(static_cast<void>(schedule_named("linear", 1e-3, 0, 1)), UsageError);
  for (const double rate : {-1e-3, static_cast<double>(NAN), static_cast<double>(INFINITY)})
    EXPECT_THROW(static_cast<void>(schedule_named("seed", rate, 0, 1)), UsageError) << rate;
  EXPECT_THROW(static_cast<void>(schedule_named("seed", 1e-3, -1, 1)), UsageError);
  EXPECT_THROW(static_cast<void>(schedule_named("seed", 1e-3, 0, -1)), UsageError);
}

}  // namespace
}  // namespace stepscope
