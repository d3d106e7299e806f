// Compiled without sanitizers: it tells them, through functions that only a sanitized program has, which fiber runs.
#include "tests/support/host_simt/scheduler.cuh"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/host_simt/device.cuh"

extern "C" {
[[gnu::weak]] void* __tsan_create_fiber(unsigned);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void __tsan_destroy_fiber(void*);
[[gnu::weak]] void __tsan_switch_to_fiber(void*, unsigned);
[[gnu::weak]] void __tsan_acquire(void*);
[[gnu::weak]] void __tsan_release(void*);
[[gnu::weak]] void __sanitizer_start_switch_fiber(void**, const void*, std::size_t);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*);
[[gnu::weak]] void __asan_poison_memory_region(const volatile void*, std::size_t);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void*, std::size_t);

// Keeps what a call must keep on the stack, changes stacks, and goes on where the other one had given way: swapcontext, which also
// asks the kernel for its signal mask, takes ten times as long.
void host_simt_switch(void** saved, void* next);
}
asm(R"(
.text
.globl host_simt_switch
.type host_simt_switch, @function
host_simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size host_simt_switch, . - host_simt_switch
)");

namespace stepscope::host_simt {

namespace {

constexpr std::size_t stack_bytes = 256 << 10, most_threads = 1024;
constexpr std::size_t static_limit = 48 << 10, block_limit = 227 << 10, memory_bytes = 256 << 10, gap_bytes = 64;
constexpr int lanes_a_warp = 32, most_copies = 64;

enum class State { ready, at_warp, at_block, done };

struct Fiber {
  void* stack_pointer = nullptr;
  uint3 thread = {};
  State state = State::ready;
  Site site = {};
  unsigned mask = 0;
  Words brought = {}, seen = {};  // in an exchange: this lane's value, and what was brought when all had come
  std::array<Copy, most_copies> copies = {};  // not waited for
  int first_copy = 0, past_copy = 0;
  void* tsan = nullptr;
  void* asan_stack = nullptr;
};

struct SharedPiece {
  const void* key;  // null: the dynamic one
  std::byte* at;
};

std::byte* map_memory(void* at, std::size_t bytes) {  // anew also makes TSan forget who touched it
  const int fixed = at == nullptr ? 0 : MAP_FIXED;
  void* const mapped =
      mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("host SIMT: no memory for its stacks");
  return static_cast<std::byte*>(mapped);
}

class Scheduler {
 public:
  void run(dim3 grid, dim3 block, std::size_t dynamic_bytes, const std::function<void()>& thread);
  void wait(State state, Site site, unsigned mask);
  [[noreturn]] void thread_main();
  // From a fiber whose block is to be abandoned. Two calls, for nothing on its stack is ever destroyed after the second.
  void set_error(const std::string& what);
  void end_thread();
  void* shared(const void* key, std::size_t bytes, std::size_t alignment);
  [[nodiscard]] bool is_shared(const void* at) const {
    const auto* byte = static_cast<const std::byte*>(at);
    return byte >= memory_ && byte + 16 <= memory_ + memory_used_;
  }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }
  Fiber& current() { return *current_; }
  [[nodiscard]] int index() const { return static_cast<int>(current_ - fibers_.data()); }
  [[nodiscard]] const Fiber& beside(int lane) const {
    return fibers_[static_cast<std::size_t>(index() / lanes_a_warp * lanes_a_warp + lane)];
  }
  char* block_order() { return &block_order_; }
  char* warp_order() { return &warp_order_[static_cast<std::size_t>(index() / lanes_a_warp)]; }

 private:
  void start_block();
  void run_block(std::mt19937& random);
  bool run_warp(int first, int count, const std::vector<int>& lanes);
  bool release_warp(int first, int count);
  bool meet(int first, int count, int lane);
  void end_block();
  void abandon();
  void resume(Fiber& fiber);
  void give_way();
  [[nodiscard]] std::string where_threads_are() const;

  std::vector<Fiber> fibers_;
  Fiber* current_ = nullptr;
  const std::function<void()>* body_ = nullptr;
  std::byte *stacks_ = nullptr, *memory_ = nullptr;
  std::array<SharedPiece, 64>
      pieces_{};  // no container: what a fiber allocates would look like a race when the host frees it
  std::size_t piece_count_ = 0, memory_used_ = memory_bytes, static_bytes_ = 0, dynamic_bytes_ = 0;
  void *host_stack_pointer_ = nullptr, *host_tsan_ = nullptr, *host_asan_stack_ = nullptr;
  const void* host_stack_ = nullptr;
  std::size_t host_stack_bytes_ = 0;
  std::string error_;
  char block_order_ = 0, grid_order_ = 0;  // addresses that carry "happens before" for TSan
  std::array<char, most_threads / lanes_a_warp> warp_order_{};
};

Scheduler& scheduler() {
  static Scheduler one;
  return one;
}

void acquire(void* order) {
  if (__tsan_acquire != nullptr) __tsan_acquire(order);
}
void release(void* order) {
  if (__tsan_release != nullptr) __tsan_release(order);
}

void fiber_main() { scheduler().thread_main(); }

void Scheduler::give_way() {
  Fiber& fiber = *current_;
  if (__sanitizer_start_switch_fiber != nullptr)
    __sanitizer_start_switch_fiber(fiber.state == State::done ? nullptr : &fiber.asan_stack, host_stack_,
                                   host_stack_bytes_);
  if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(host_tsan_, 1);
  host_simt_switch(&fiber.stack_pointer, host_stack_pointer_);
  if (__sanitizer_finish_switch_fiber != nullptr) __sanitizer_finish_switch_fiber(fiber.asan_stack, nullptr, nullptr);
}

void Scheduler::resume(Fiber& fiber) {
  current_ = &fiber;
  threadIdx = fiber.thread;
  if (__sanitizer_start_switch_fiber != nullptr)
    __sanitizer_start_switch_fiber(&host_asan_stack_, stacks_ + static_cast<std::size_t>(index()) * stack_bytes,
                                   stack_bytes);
  if (__tsan_switch_to_fiber != nullptr) __tsan_switch_to_fiber(fiber.tsan, 1);  // 1: the switch itself orders nothing
  host_simt_switch(&host_stack_pointer_, fiber.stack_pointer);
  if (__sanitizer_finish_switch_fiber != nullptr) __sanitizer_finish_switch_fiber(host_asan_stack_, nullptr, nullptr);
}

void Scheduler::thread_main() {
  if (__sanitizer_finish_switch_fiber != nullptr)
    __sanitizer_finish_switch_fiber(nullptr, &host_stack_, &host_stack_bytes_);
  (*body_)();
  if (current_->first_copy != current_->past_copy) set_error("a thread ends before its copies to shared memory");
  release(&grid_order_);
  current_->state = State::done;
  give_way();
  std::abort();  // nobody resumes a thread that is done
}

void Scheduler::wait(State state, Site site, unsigned mask) {
  current_->state = state;
  current_->site = site;
  current_->mask = mask;
  give_way();
}

void Scheduler::set_error(const std::string& what) {
  if (error_.empty()) error_ = what;
}

void Scheduler::end_thread() {
  current_->state = State::done;
  give_way();
}

std::string Scheduler::where_threads_are() const {
  constexpr std::array names{"could go on", "in a warp operation", "at __syncthreads", "have ended"};
  std::map<std::string, int> groups;
  for (const Fiber& fiber : fibers_) {
    std::string where = names[static_cast<std::size_t>(fiber.state)];
    if (fiber.state == State::at_warp || fiber.state == State::at_block)
      where += std::string(" ") + fiber.site.file + ":" + std::to_string(fiber.site.line);
    ++groups[where];
  }
  std::string all = "divergence in block " + std::to_string(blockIdx.x) + "," + std::to_string(blockIdx.y) + "," +
                    std::to_string(blockIdx.z) + ":";
  for (const auto& [where, threads] : groups) all += " " + std::to_string(threads) + " threads " + where + ";";
  return all;
}

// Whether all lanes of a lane's mask have come to the same place; then they may go on.
bool Scheduler::meet(int first, int count, int lane) {
  const auto fiber = [&](int l) -> Fiber& { return fibers_[static_cast<std::size_t>(first + l)]; };
  const unsigned mask = fiber(lane).mask;
  if ((mask >> lane & 1u) == 0) {
    error_ = where_threads_are() + " a thread is not in its own mask";
    return false;
  }
  for (int l = 0; l < lanes_a_warp; ++l) {
    if ((mask >> l & 1u) == 0) continue;
    if (l >= count || fiber(l).state == State::done) {
      error_ = where_threads_are() + " a mask names a lane that is not there";
      return false;
    }
    if (fiber(l).state != State::at_warp || fiber(l).site != fiber(lane).site || fiber(l).mask != mask) return false;
  }
  for (int l = 0; l < count; ++l)
    if ((mask >> l & 1u) != 0) {
      fiber(l).seen = fiber(l).brought;
      fiber(l).state = State::ready;
    }
  return true;
}

bool Scheduler::release_warp(int first, int count) {
  bool any = false;
  for (int lane = 0; lane < count && error_.empty(); ++lane)
    if (fibers_[static_cast<std::size_t>(first + lane)].state == State::at_warp) any |= meet(first, count, lane);
  return any;
}

// Until none of its lanes can go on. Returns whether any did.
bool Scheduler::run_warp(int first, int count, const std::vector<int>& lanes) {
  bool any = false;
  for (bool again = true; again && error_.empty();) {
    again = false;
    for (const int lane : lanes) {
      if (lane >= count || !error_.empty()) continue;
      Fiber& fiber = fibers_[static_cast<std::size_t>(first + lane)];
      if (fiber.state != State::ready) continue;
      resume(fiber);
      again = true;
    }
    if (error_.empty() && release_warp(first, count)) again = true;
    any |= again;
  }
  return any;
}

std::vector<int> in_order(int n, std::mt19937& random) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (options().order == Order::reverse) std::reverse(order.begin(), order.end());
  if (options().order == Order::shuffled) std::shuffle(order.begin(), order.end(), random);
  return order;
}

void Scheduler::start_block() {
  const bool tsan = __tsan_create_fiber != nullptr;
  if (tsan) {
    map_memory(stacks_, stack_bytes * fibers_.size());
    map_memory(memory_, memory_bytes);
  }
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(memory_, memory_bytes);
  std::fill_n(memory_, tsan ? memory_bytes : memory_used_, std::byte{0xFF});
  if (__asan_poison_memory_region != nullptr) __asan_poison_memory_region(memory_, memory_bytes);
  piece_count_ = 0, memory_used_ = gap_bytes, static_bytes_ = 0;
  for (std::size_t i = 0; i < fibers_.size(); ++i) {
    Fiber& fiber = fibers_[i] = {};
    auto** const top = reinterpret_cast<void**>(stacks_ + (i + 1) * stack_bytes) - 2;  // so that calls find it aligned
    *top = reinterpret_cast<void*>(&fiber_main);
    fiber.stack_pointer = top - 6;  // the six registers that the switch takes from there
    const auto n = static_cast<unsigned>(i);
    fiber.thread = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
    if (tsan) fiber.tsan = __tsan_create_fiber(0);
  }
}

void Scheduler::end_block() {
  if (__tsan_destroy_fiber != nullptr)
    for (Fiber& fiber : fibers_) __tsan_destroy_fiber(fiber.tsan);
}

void Scheduler::run_block(std::mt19937& random) {
  start_block();
  const int threads = static_cast<int>(fibers_.size());
  const std::vector<int> warps = in_order((threads + lanes_a_warp - 1) / lanes_a_warp, random),
                         lanes = in_order(lanes_a_warp, random);
  while (error_.empty()) {
    bool progress = false;
    for (const int warp : warps)
      progress |= run_warp(warp * lanes_a_warp, std::min(lanes_a_warp, threads - warp * lanes_a_warp), lanes);
    if (!error_.empty()) break;
    int done = 0, together = 0;
    for (const Fiber& fiber : fibers_) {
      done += fiber.state == State::done ? 1 : 0;
      together += fiber.state == State::at_block && fiber.site == fibers_[0].site ? 1 : 0;
    }
    if (done == threads) return end_block();
    if (together == threads)
      for (Fiber& fiber : fibers_) fiber.state = State::ready;
    else if (!progress)
      error_ = where_threads_are();
  }
}

void Scheduler::abandon() {
  for (Fiber& fiber : fibers_)  // the host comes after whatever the abandoned threads did
    if (__tsan_switch_to_fiber != nullptr) {
      __tsan_switch_to_fiber(fiber.tsan, 1);
      __tsan_switch_to_fiber(host_tsan_, 0);
    }
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(stacks_, stack_bytes * most_threads);
}

void Scheduler::run(dim3 grid, dim3 block, std::size_t dynamic_bytes, const std::function<void()>& thread) {
  if (stacks_ == nullptr) {
    stacks_ = map_memory(nullptr, stack_bytes * most_threads);
    memory_ = map_memory(nullptr, memory_bytes);
  }
  if (__tsan_get_current_fiber != nullptr) host_tsan_ = __tsan_get_current_fiber();
  gridDim = grid, blockDim = block;
  body_ = &thread, dynamic_bytes_ = dynamic_bytes;
  error_.clear();
  fibers_.resize(std::size_t{block.x} * block.y * block.z);
  std::mt19937 random(options().seed);
  for (const int b : in_order(static_cast<int>(grid.x * grid.y * grid.z), random)) {
    const auto n = static_cast<unsigned>(b);
    blockIdx = {n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y};
    run_block(random);
    if (error_.empty()) continue;
    abandon();
    throw std::runtime_error(error_);
  }
  acquire(&grid_order_);
}

void* Scheduler::shared(const void* key, std::size_t bytes, std::size_t alignment) {
  for (std::size_t i = 0; i < piece_count_; ++i)
    if (pieces_[i].key == key) return pieces_[i].at;
  if (key != nullptr) static_bytes_ += bytes;
  if (static_bytes_ > static_limit || static_bytes_ + dynamic_bytes_ > block_limit || piece_count_ == pieces_.size()) {
    set_error("too much shared memory: " + std::to_string(static_bytes_) + " bytes static, " +
              std::to_string(dynamic_bytes_) + " dynamic");
    end_thread();
  }
  alignment = std::max<std::size_t>(alignment, 16);
  std::byte* const at = memory_ + (memory_used_ + alignment - 1) / alignment * alignment;
  memory_used_ = static_cast<std::size_t>(at - memory_) + bytes + gap_bytes;
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(at, bytes);
  pieces_[piece_count_++] = {key, at};
  return at;
}

}  // namespace

Order usual_order() {
  static const Order order = [] {
    const char* const named = std::getenv("STEPSCOPE_HOST_SIMT_ORDER");
    const std::string name = named == nullptr ? "forward" : named;
    if (name != "forward" && name != "reverse" && name != "shuffled")
      throw std::runtime_error("STEPSCOPE_HOST_SIMT_ORDER=" + name + ": must be forward, reverse or shuffled");
    return name == "forward" ? Order::forward : name == "reverse" ? Order::reverse : Order::shuffled;
  }();
  return order;
}

Options& options() {
  static Options one;
  return one;
}

void run_grid(dim3 grid, dim3 block, std::size_t dynamic_bytes, const std::function<void()>& thread) {
  scheduler().run(grid, block, dynamic_bytes, thread);
}

int lane() { return scheduler().index() % lanes_a_warp; }

void sync_block(Site site) {
  release(scheduler().block_order());
  scheduler().wait(State::at_block, site, 0);
  acquire(scheduler().block_order());
}

void sync_warp(unsigned mask, Site site) {
  char* const order = scheduler().warp_order();
  release(order);
  scheduler().wait(State::at_warp, site, mask);
  acquire(order);
}

std::uint64_t exchange(unsigned mask, std::uint64_t value, int source_lane, Site site) {
  scheduler().current().brought.at[0] = value;
  scheduler().wait(State::at_warp, site, mask);
  if ((mask >> source_lane & 1u) == 0) {
    scheduler().set_error("a shuffle reads a lane outside its mask, " + std::string(site.file) + ":" +
                          std::to_string(site.line));
    scheduler().end_thread();
  }
  return scheduler().beside(source_lane).seen.at[0];
}

unsigned ballot(unsigned mask, bool predicate, Site site) {
  scheduler().current().brought.at[0] = predicate ? 1 : 0;
  scheduler().wait(State::at_warp, site, mask);
  unsigned votes = 0;
  for (int lane = 0; lane < lanes_a_warp; ++lane)
    if ((mask >> lane & 1u) != 0 && scheduler().beside(lane).seen.at[0] != 0) votes |= 1u << lane;
  return votes;
}

void exchange_words(const Words& mine, Site site) {
  scheduler().current().brought = mine;
  scheduler().wait(State::at_warp, site, ~0u);
}
Words words_of(int lane) { return scheduler().beside(lane).seen; }

namespace {
[[noreturn]] void refuse(const char* what, const char* why) {
  scheduler().set_error(std::string(what) + why);
  scheduler().end_thread();
  std::abort();
}
}  // namespace

void queue_copy(const Copy& copy, const void* from) {
  Fiber& fiber = scheduler().current();
  if (reinterpret_cast<std::uintptr_t>(from) % 16 != 0) refuse("copy_16", " from an address that 16 does not divide");
  if (fiber.first_copy == fiber.past_copy) fiber.first_copy = fiber.past_copy = 0;
  if (fiber.past_copy == most_copies) refuse("copy_16", ": more copies at once than are emulated");
  fiber.copies[static_cast<std::size_t>(fiber.past_copy++)] = copy;
}
bool take_copy(Copy& copy) {
  Fiber& fiber = scheduler().current();
  if (fiber.first_copy == fiber.past_copy) return false;
  copy = fiber.copies[static_cast<std::size_t>(fiber.first_copy++)];
  return true;
}
void require_shared(const void* at, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(at) % 16 != 0 || !scheduler().is_shared(at))
    refuse(what, ": not 16 aligned bytes of shared memory");
}

void* shared_memory(const void* key, std::size_t bytes, std::size_t alignment) {
  return scheduler().shared(key, bytes, alignment);
}
void* dynamic_shared_memory() { return scheduler().shared(nullptr, scheduler().dynamic_bytes(), 16); }

}  // namespace stepscope::host_simt
