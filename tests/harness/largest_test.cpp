// The largest value that fits is what trying every value finds; it runs in that memory, and one more is refused.
#include "harness/largest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "harness/matrix.h"
#include "harness/planned.h"
#include "model/cpu/machine.h"
#include "model/execution/cpu_executor.h"
#include "model/execution/region.h"

namespace stepscope {
namespace {

using Verdict = Probe::Verdict;

// Answers from a table of bytes, and counts.
struct Table {
  std::function<std::int64_t(std::int64_t)> bytes;
  std::int64_t limit = 0;
  std::map<std::int64_t, int> probed = {};
  Search search(std::int64_t start, std::int64_t last) {
    return find_largest(start, last, limit, [this](std::int64_t k) {
      ++probed[k];
      const std::int64_t b = bytes(k);
      return Probe{.verdict = b <= limit ? Verdict::fits : Verdict::too_big, .bytes = b};
    });
  }
};

TEST(FindLargest, what_grows_is_found_exactly_in_few_plans_each_made_once) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 300; ++i) {
    const auto a = static_cast<std::int64_t>(random() % 1000), b = static_cast<std::int64_t>(random() % 50) + 1;
    const auto c = static_cast<std::int64_t>(i % 3 == 0 ? random() % 4 : 0);  // some grow with the square
    const auto last = static_cast<std::int64_t>(random() % 100'000) + 1;
    const auto start = static_cast<std::int64_t>(random() % 200'000);
    Table table{.bytes = [=](std::int64_t k) { return a + b * k + c * k * k; },
                .limit = static_cast<std::int64_t>(random() % 1'000'000)};
    const Search found = table.search(start, last);
    std::int64_t largest = 0;
    while (largest < last && table.bytes(largest + 1) <= table.limit) ++largest;
    EXPECT_EQ(found.value, largest);
    EXPECT_TRUE(found.holes.empty());
    EXPECT_LE(found.probes, 40);
    for (const auto& [k, times] : table.probed) EXPECT_EQ(times, 1) << k;
  }
}

TEST(FindLargest, a_larger_one_that_fits_again_is_found_and_told) {
  Table table{.bytes = [](std::int64_t k) { return k > 10 && k < 14 ? 1000 : 10 * k; }, .limit = 200};
  const Search found = table.search(11, 1000);
  EXPECT_EQ(found.value, 20);
  EXPECT_THAT(found.holes, ::testing::Contains(11));
  Table below{.bytes = [](std::int64_t k) { return k == 15 ? 1000 : 10 * k; }, .limit = 200};
  EXPECT_THAT(below.search(20, 1000).holes, ::testing::ElementsAre(15));
}

TEST(FindLargest, the_last_one_and_none) {
  Table all{.bytes = [](std::int64_t k) { return k; }, .limit = 1000};
  EXPECT_EQ(all.search(3, 50).value, 50);
  Table none{.bytes = [](std::int64_t) { return 10; }, .limit = 1};
  EXPECT_EQ(none.search(30, 50).value, 0);
}

MatrixCell cell_of(const std::vector<std::string>& sets) {
  return matrix_of(overrides_of(sets, "tiny", "")).cells.front();
}

std::vector<std::string> joined(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Case {
  const char* dimension;
  std::vector<std::string> sets;
  std::function<std::vector<std::string>(std::int64_t)> at;
  std::int64_t step, last;
};
const std::vector<Case> cases{
    {"batch",
     {"accumulation=2", "checkpointing=MLPBlock"},
     [](std::int64_t v) { return std::vector{"global_batch=" + std::to_string(v)}; },
     2,
     60},
    {"sequence",
     {"precision=bf16"},
     [](std::int64_t v) { return std::vector{"sequence=" + std::to_string(v)}; },
     1,
     32},
    {"layers", {}, [](std::int64_t v) { return std::vector{"layers=" + std::to_string(v)}; }, 1, 20},
    {"hidden",
     {"logits_chunks=4"},
     [](std::int64_t v) {
       return std::vector{"hidden=" + std::to_string(v), "heads=" + std::to_string(v / 32)};
     },
     32,
     320}};

TEST(LargestOfCell, is_what_planning_every_value_finds) {
  const Machine machine = this_cpu(1);
  for (const Case& c : cases) {
    const MatrixCell cell = cell_of(c.sets);
    std::map<std::int64_t, std::int64_t> peaks;  // by value
    for (std::int64_t v = c.step; v <= c.last; v += c.step)
      peaks[v] = plan_cell(cell_of(joined(c.sets, c.at(v))), machine, {}).record.bytes.predicted_peak;
    for (const std::int64_t budget : {std::int64_t{100'000}, std::int64_t{2'000'000}, peaks[c.step * 3],
                                      peaks[c.step * 7] - 1, peaks[c.step * 9]}) {
      const Largest found = largest_of_cell(cell, dimension_named(c.dimension), machine, fit_here(machine, budget));
      std::int64_t largest = 0;
      for (const auto& [v, peak] : peaks)
        if (peak <= budget) largest = v;
      EXPECT_EQ(found.value, largest) << c.dimension << " " << budget;
      EXPECT_EQ(found.margin_bytes, largest > 0 ? budget - peaks[largest] : 0) << c.dimension;
      EXPECT_EQ(found.short_bytes, peaks.contains(found.next) ? peaks[found.next] - budget : 0) << c.dimension;
      EXPECT_TRUE(found.holes.empty());
    }
  }
}

// A refused arena is how a full device looks: the answer gets its memory under the cap, one step more does not.
TEST(LargestOfCell, runs_under_the_cap_and_one_more_is_refused) {
  const Machine machine = this_cpu(1);
  const std::int64_t budget = 9'000'000;
  for (const Case& c : cases) {
    const MatrixCell cell = cell_of(c.sets);
    const Largest found = largest_of_cell(cell, dimension_named(c.dimension), machine, fit_here(machine, budget));
    const auto run = [&](std::int64_t value) {
      const Step step = build_cell_step(cell_of(joined(c.sets, c.at(value))), machine);
      CpuExecutor executor(step.program, step.plan, machine);
      executor.initialise(1);
      executor.step(1e-3);
    };
    cap_memory(budget);
    ASSERT_GT(found.value, 0) << c.dimension;
    EXPECT_NO_THROW(run(found.value)) << c.dimension;
    if (found.next > 0) {
      EXPECT_THROW(run(found.next), OutOfMemory) << c.dimension;
    }
    cap_memory(0);
  }
}

}  // namespace
}  // namespace stepscope
