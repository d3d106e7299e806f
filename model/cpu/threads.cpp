#include "model/cpu/threads.h"

#include <omp.h>

#include <limits>
#include <string>
#include <utility>

#include "model/base/error.h"

namespace stepscope {
namespace {

constexpr std::uint32_t closed =
    std::numeric_limits<std::uint32_t>::max();  // as next task: the region's fields are being set

thread_local const Threads* inside_pool = nullptr;  // the pool whose task this thread is running
thread_local int inside_slot = 0;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Until `value` is no longer `old`: spins, then sleeps.
void await_change(const std::atomic<std::uint32_t>& value, std::uint32_t old, int spins) {
  for (int spin = 0; spin < spins; ++spin) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

void use_one_openmp_thread() {
  static thread_local const bool set = (omp_set_num_threads(1), true);
  (void)set;
}

Threads::Threads(int count) : count_(count) {
  if (count < 1) throw UsageError("threads = " + std::to_string(count) + ": at least 1 is needed");
  constexpr int spins_of_tens_of_microseconds = 2000;
  spins_ = static_cast<unsigned>(count) > std::thread::hardware_concurrency() ? 0 : spins_of_tens_of_microseconds;
  use_one_openmp_thread();
  pool_.reserve(static_cast<std::size_t>(count - 1));
  try {
    for (int slot = 1; slot < count; ++slot) pool_.emplace_back([this, slot] { serve(slot); });
  } catch (const std::exception& error) {  // no memory for a stack, or a limit on threads
    const std::size_t started = pool_.size() + 1;
    stop();
    throw MachineError("thread " + std::to_string(started + 1) + " of " + std::to_string(count) +
                       " cannot be started: " + error.what());
  }
}

Threads::~Threads() { stop(); }

void Threads::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  region_.fetch_add(1, std::memory_order_release);
  region_.notify_all();
  for (std::thread& thread : pool_) thread.join();
}

void Threads::run(std::int64_t tasks, Call call, const void* object) {
  use_one_openmp_thread();
  if (inside_pool != nullptr || count_ == 1 || tasks <= 1) {
    const Threads* const outer = inside_pool;
    const int slot = outer == this ? inside_slot : 0;
    for (std::int64_t index = 0; index < tasks; ++index) call(object, index, slot);
    return;
  }
  if (tasks > std::numeric_limits<std::uint32_t>::max())
    throw ProgramError("threads", "a region of 2^32 tasks or more");
  const std::uint32_t number = region_.load(std::memory_order_relaxed) + 1;
  claim_.store(std::uint64_t{number} << 32 | closed, std::memory_order_relaxed);
  call_.store(call, std::memory_order_release);
  object_.store(object, std::memory_order_release);
  tasks_.store(static_cast<std::uint32_t>(tasks), std::memory_order_release);
  finished_.store(0, std::memory_order_relaxed);
  claim_.store(std::uint64_t{number} << 32, std::memory_order_release);
  region_.store(number, std::memory_order_seq_cst);  // not to be overtaken by notify's look for sleepers
  region_.notify_all();

  work_as(0);
  for (std::uint32_t done; (done = finished_.load(std::memory_order_acquire)) != tasks;) {
    await_change(finished_, done, spins_);
  }
  if (failed_.load(std::memory_order_acquire)) {
    failed_.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void Threads::serve(int slot) {
  use_one_openmp_thread();
  for (;;) {
    const std::uint32_t number = region_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    work_as(slot);
    await_change(region_, number, spins_);
  }
}

void Threads::work_as(int slot) {
  inside_pool = this;
  inside_slot = slot;
  std::uint32_t done = 0, tasks = 0;
  for (std::uint64_t claim = claim_.load(std::memory_order_acquire);;) {
    // Read before the claim: whoever sees a later region's fields sees that region closed or open, and the claim fails.
    const Call call = call_.load(std::memory_order_acquire);
    const void* const object = object_.load(std::memory_order_acquire);
    const std::uint32_t limit = tasks_.load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(claim) >= limit) break;
    if (!claim_.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    tasks = limit;
    perform(call, object, static_cast<std::uint32_t>(claim), slot);
    ++done;
    claim = claim_.load(std::memory_order_acquire);
  }
  inside_pool = nullptr;
  if (done > 0 && finished_.fetch_add(done, std::memory_order_acq_rel) + done == tasks) finished_.notify_one();
}

void Threads::perform(Call call, const void* object, std::int64_t index, int slot) {
  try {
    call(object, index, slot);
  } catch (...) {
    // The first failure wins; later ones are dropped.
    while (writing_failure_.test_and_set(std::memory_order_acquire)) pause();
    if (!failed_.load(std::memory_order_relaxed)) {
      failure_ = std::current_exception();
      failed_.store(true, std::memory_order_release);
    }
    writing_failure_.clear(std::memory_order_release);
  }
}

}  // namespace stepscope
