// The processor's cores as one function call: a pool of threads made once, used by every operation of a step.
//     Threads threads(2);
//     threads.parallel_for(rows, [&](std::int64_t row) { ... });                            // every row once, in any order
//     threads.parallel_for_slots(rows, [&](std::int64_t row, int slot) { scratch[slot] ... });  // slot: which of count() threads
// The caller cuts the work by its shape, never by count(): which thread runs a task then changes no bit of a result. A call
// allocates nothing; one task, one thread, or a call from inside a task runs inline. The first exception of a task is thrown
// again to the caller, after the others have ended. One thread at a time calls a pool.
// A handover costs about a microsecond while threads are awake: they spin shortly after a region, then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <type_traits>
#include <vector>

namespace stepscope {

// oneDNN cuts its work by OpenMP's number of threads; inside our tasks, and where primitives are made, that is one.
void use_one_openmp_thread();

class Threads {
 public:
  explicit Threads(int count);  // the caller is one of them; UsageError below 1, MachineError where one does not start
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  [[nodiscard]] int count() const { return count_; }

  template <class Task>
  void parallel_for(std::int64_t tasks, Task&& task) {
    parallel_for_slots(tasks, [&task](std::int64_t index, int) { task(index); });
  }

  template <class Task>
  void parallel_for_slots(std::int64_t tasks, Task&& task) {
    using Object = std::remove_reference_t<Task>;
    run(
        tasks,
        [](const void* object, std::int64_t index, int slot) {
          (*static_cast<Object*>(const_cast<void*>(object)))(index, slot);
        },
        &task);
  }

 private:
  using Call = void (*)(const void* object, std::int64_t index, int slot);

  void run(std::int64_t tasks, Call call, const void* object);
  void stop();  // and joins them
  void serve(int slot);  // a pool thread's life
  void work_as(int slot);  // runs tasks of the present region until none is left
  void perform(Call call, const void* object, std::int64_t index, int slot);

  int count_;
  int spins_;  // before a waiting thread sleeps; none where threads outnumber cores
  // The present region. `claim_` holds its number (upper half) and its next task: a thread that wakes late, with an old
  // number in hand, cannot take a task of a later region, so nobody waits for it.
  alignas(64) std::atomic<std::uint64_t> claim_{0};
  std::atomic<Call> call_{nullptr};
  std::atomic<const void*> object_{nullptr};
  std::atomic<std::uint32_t> tasks_{0};
  alignas(64) std::atomic<std::uint32_t> finished_{0};
  alignas(64) std::atomic<std::uint32_t> region_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> failed_{false};
  std::atomic_flag writing_failure_ = ATOMIC_FLAG_INIT;
  std::exception_ptr failure_;  // written by the task that set failed_
  std::vector<std::thread> pool_;
};

}  // namespace stepscope
