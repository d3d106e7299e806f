// Law: a step allocates nothing. Operator new is replaced here; what oneDNN allocates inside its own call is left out.
// Sanitizers replace it themselves, so there is nothing here for them.
#if !defined(STEPSCOPE_SANITIZED)
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "model/cpu/library_guard.h"
#include "model/execution/cpu_executor.h"
#include "tests/support/families.h"

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

TEST(AllocationLaw, a_step_of_any_family_precision_attention_and_mask_allocates_nothing) {
  for (const StepSetting& setting : every_small_step()) {
    const Step step = build(setting, machine_with(2));
    CpuExecutor executor(step.program, step.plan, machine_with(2));
    executor.initialise(1);
    fill_batch(setting, step.program, executor);
    executor.step(1e-3);
    allocations = 0;
    watching = true;
    executor.step(1e-3);
    watching = false;
    EXPECT_EQ(allocations, 0) << setting.name;
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
