// What the pool promises: every task once, each slot one thread at a time, nothing lost when tasks throw or nest.
#include "model/cpu/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "model/base/error.h"
#include "tests/support/build_folder.h"

namespace stepscope {
namespace {

class ThreadsOfAnyCount : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Counts, ThreadsOfAnyCount, testing::Values(1, 2, 3, 4, 7));

TEST_P(ThreadsOfAnyCount, runs_every_task_once_in_region_after_region) {
  Threads threads(GetParam());
  std::vector<int> runs(257, 0);  // plain ints: the end of a region must make the writes visible, or TSan objects
  for (int region = 0; region < 2000; ++region) {
    const std::int64_t tasks = region % 258;
    std::fill(runs.begin(), runs.end(), 0);
    threads.parallel_for(tasks, [&](std::int64_t index) { ++runs[static_cast<std::size_t>(index)]; });
    EXPECT_EQ(std::accumulate(runs.begin(), runs.end(), 0), tasks);
    for (std::int64_t index = 0; index < tasks; ++index) ASSERT_EQ(runs[static_cast<std::size_t>(index)], 1);
  }
}

TEST_P(ThreadsOfAnyCount, gives_a_slot_to_one_task_at_a_time) {
  Threads threads(GetParam());
  std::vector<std::int64_t> sums(static_cast<std::size_t>(threads.count()), 0);
  std::vector<std::atomic<int>> users(sums.size());
  for (int region = 0; region < 200; ++region) {
    threads.parallel_for_slots(100, [&](std::int64_t index, int slot) {
      ASSERT_GE(slot, 0);
      ASSERT_LT(slot, threads.count());
      EXPECT_EQ(users[static_cast<std::size_t>(slot)].fetch_add(1), 0);
      sums[static_cast<std::size_t>(slot)] += index;
      users[static_cast<std::size_t>(slot)].fetch_sub(1);
    });
  }
  EXPECT_EQ(std::accumulate(sums.begin(), sums.end(), std::int64_t{0}), 200 * 99 * 100 / 2);
}

TEST_P(ThreadsOfAnyCount, throws_a_tasks_exception_to_the_caller_and_goes_on) {
  Threads threads(GetParam());
  for (int region = 0; region < 50; ++region) {
    EXPECT_THROW(threads.parallel_for(20,
                                      [](std::int64_t index) {
                                        if (index % 3 == 1) throw std::runtime_error("a task's own");
                                      }),
                 std::runtime_error);
    std::atomic<int> runs = 0;
    threads.parallel_for(20, [&](std::int64_t) { ++runs; });
    EXPECT_EQ(runs, 20);
  }
}

TEST_P(ThreadsOfAnyCount, runs_a_nested_region_inline_in_the_tasks_own_slot) {
  Threads threads(GetParam());
  std::atomic<int> runs = 0;
  threads.parallel_for_slots(8, [&](std::int64_t, int outer) {
    threads.parallel_for_slots(5, [&](std::int64_t, int inner) {
      EXPECT_EQ(inner, outer);
      ++runs;
    });
  });
  EXPECT_EQ(runs, 40);
}

TEST_P(ThreadsOfAnyCount, wakes_threads_that_have_gone_to_sleep) {
  Threads threads(GetParam());
  for (int region = 0; region < 5; ++region) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> runs = 0;
    threads.parallel_for(64, [&](std::int64_t) { ++runs; });
    EXPECT_EQ(runs, 64);
  }
}

TEST(Threads, work_is_shared) {
  Threads threads(2);
  std::atomic<int> present = 0;  // each task waits for the other: this ends only if two threads run them
  threads.parallel_for(2, [&](std::int64_t) {
    ++present;
    while (present < 2) std::this_thread::yield();
  });
  EXPECT_EQ(present, 2);
}

TEST(Threads, refuses_a_count_below_one) { EXPECT_THROW(Threads(0), UsageError); }

// In a process of its own: too little address space for the stacks of all.
TEST(ThreadsThatDoNotStart, are_a_machine_error_and_the_others_end) {
  if (is_sanitized()) GTEST_SKIP() << "sanitizers need all of the address space";
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr rlim_t some_stacks = rlim_t{1} << 30;
    const rlimit limit{some_stacks, some_stacks};
    ::setrlimit(RLIMIT_AS, &limit);
    try {
      const Threads threads(1024);
    } catch (const MachineError& error) {
      ::_exit(std::string(error.what()).find(" of 1024 cannot be started: ") != std::string::npos ? 0 : 2);
    }
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace stepscope
