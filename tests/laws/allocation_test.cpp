// Law: a step allocates nothing. Operator new is replaced here; what oneDNN allocates inside its own call is left out.
// Sanitizers replace it themselves, so there is nothing here for them.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "model/cpu/library_guard.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/step_run.h"

namespace {
std::atomic<bool> watching{false};
std::atomic<int> allocations{0};

void* allocate(std::size_t size) {
  if (watching.load(std::memory_order_relaxed) && !stepscope::inside_library()) ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace stepscope::testing {
namespace {

TEST(AllocationLaw, a_step_allocates_nothing) {
  for (const char* precision : {"fp32", "bf16", "fp16"})
    for (const char* attention : {"fused", "materialised"}) {
      StepSetting setting{.precision = precision, .micro_steps = 2, .threads = 2, .unequal_lengths = true};
      setting.change_model = [&](ModelSettings& m) { m.attention = attention; };
      const Step step = build(setting, machine_with(2));
      CpuExecutor executor(step.program, step.plan, machine_with(2));
      executor.initialise(1);
      fill_batch(setting, step.program, executor);
      executor.step(1e-3);
      allocations = 0;
      watching = true;
      executor.step(1e-3);
      watching = false;
      EXPECT_EQ(allocations, 0) << precision << " " << attention;
    }
}

TEST(AllocationLaw, the_watch_sees_an_allocation) {
  allocations = 0;
  watching = true;
  std::vector<int>* made = new std::vector<int>(100);
  watching = false;
  delete made;
  EXPECT_EQ(allocations, 2);
}

}  // namespace
}  // namespace stepscope::testing

#endif
