// What is made of measured rates: ceilings that no size or type undercuts, and a key that tells machines apart.
#include "reports/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "model/base/error.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::HasSubstr;

Calibration example() {
  Calibration c{.key = {"a processor", 2, "3.2.1", "native", "native"}, .time = "2026-01-31T12:00:00Z", .seconds = 2.5};
  c.matmuls = {{"fp32", "forward", 8, 8, 8, rate_of({90e9, 100e9, 95e9})},
               {"fp32", "one primitive a thread", 4, 4, 4, rate_of({110e9})},
               {"bf16", "forward", 8, 8, 8, rate_of({60e9})}};
  c.bandwidths = {{1 << 16, "triad", rate_of({300e9})},
                  {1 << 20, "copy", rate_of({100e9})},
                  {1 << 24, "copy", rate_of({120e9})},
                  {1 << 28, "read", rate_of({20e9})}};
  return c;
}

TEST(Calibration, a_ceiling_is_the_best_repeat_of_the_fastest_way) {
  const Card card = card_of(example());
  EXPECT_EQ(card.fp32_flops, 110e9);
  EXPECT_EQ(card.bf16_flops, 60e9);
  EXPECT_EQ(card.bandwidth, 20e9);
  EXPECT_EQ(peak_named(card, "bf16"), 60e9);
  EXPECT_EQ(peak_named(card, "fp64"), 0);
}

TEST(Calibration, bf16_that_is_widened_may_reach_what_fp32_does) {
  Calibration c = example();
  c.key.bf16 = "widened";
  EXPECT_EQ(card_of(c).bf16_flops, 110e9);
}

TEST(Calibration, no_size_is_faster_than_a_smaller_one) {
  const Card card = card_of(example());
  ASSERT_EQ(card.levels.size(), 4U);
  for (std::size_t i = 1; i < card.levels.size(); ++i)
    EXPECT_GE(card.levels[i - 1].bandwidth, card.levels[i].bandwidth) << i;
  EXPECT_EQ(card.levels[1].bandwidth, 120e9);  // what larger arrays reach, these do too
}

TEST(Calibration, another_machine_is_told_apart_by_what_differs) {
  const CalibrationKey here = example().key;
  EXPECT_EQ(difference(here, here), "");
  CalibrationKey other = here;
  other.onednn = "2.6.3";
  EXPECT_THAT(difference(other, here), ::testing::AllOf(HasSubstr("oneDNN 2.6.3"), HasSubstr("3.2.1")));
  other = here;
  other.threads = 8;
  EXPECT_THAT(difference(other, here), HasSubstr("threads 8"));
}

TEST(Calibration, repeats_that_fall_far_behind_show_a_busy_machine) {
  Calibration c = example();
  EXPECT_FALSE(was_busy(c));
  for (MatmulRate& m : c.matmuls) m.flops_per_second = rate_of({100e9, 40e9, 30e9});
  EXPECT_TRUE(was_busy(c));
}

class CalibrationFile : public TemporaryFolder {};

TEST_F(CalibrationFile, written_and_read_back_is_the_same) {
  const Calibration c = example();
  write_calibration(folder / "c.json", c);
  const Calibration back = read_calibration(folder / "c.json");
  EXPECT_EQ(back.key, c.key);
  EXPECT_EQ(back.seconds, c.seconds);
  ASSERT_EQ(back.matmuls.size(), c.matmuls.size());
  EXPECT_EQ(back.matmuls[0].flops_per_second.median, 95e9);
  EXPECT_EQ(back.matmuls[0].flops_per_second.worst, 90e9);
  EXPECT_EQ(summary_of(back), summary_of(c));
}

TEST_F(CalibrationFile, another_version_and_impossible_rates_are_refused) {
  Calibration c = example();
  std::swap(c.bandwidths[0], c.bandwidths[1]);
  write_calibration(folder / "c.json", c);
  EXPECT_THROW((void)read_calibration(folder / "c.json"), UsageError);
  const auto spoiled = [&](auto&& spoil) {
    Calibration bad = example();
    spoil(bad);
    write_calibration(folder / "c.json", bad);
    EXPECT_THROW((void)read_calibration(folder / "c.json"), UsageError);
  };
  spoiled([](Calibration& bad) { bad.bandwidths.clear(); });
  spoiled([](Calibration& bad) { bad.matmuls.clear(); });
  spoiled([](Calibration& bad) { bad.matmuls.erase(bad.matmuls.begin(), bad.matmuls.begin() + 2); });  // bf16 alone
  spoiled([](Calibration& bad) { bad.matmuls[2].flops_per_second.best = 1e308; });
  spoiled([](Calibration& bad) { bad.matmuls[2].flops_per_second.best = -1; });
  spoiled([](Calibration& bad) { bad.bandwidths[0].bytes_per_second.best = 5e-324; });
  spoiled([](Calibration& bad) { bad.bandwidths[0].bytes = -1; });
  std::ofstream(folder / "c.json") << R"({"schema": "stepscope.calibration/2"})";
  EXPECT_THROW((void)read_calibration(folder / "c.json"), UsageError);
}

}  // namespace
}  // namespace stepscope
