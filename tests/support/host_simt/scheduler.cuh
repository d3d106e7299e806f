// Runs a grid on one OS thread: each thread of a block is a fiber, blocks follow one another, and a fiber gives way where a CUDA thread
// would wait. Orders differ by options(), since a right kernel gives the same bits in all of them.
//     options().order = Order::shuffled;
//     run_grid(grid, block, shared_bytes, [=] { kernel(a, b); });        // throws std::runtime_error on misuse: divergence, too much memory
// A barrier or shuffle costs some 30 ns a thread. Under ThreadSanitizer each CUDA thread is a thread of its own that only barriers order, so
// a missing one is a data race; under AddressSanitizer shared memory is poisoned but for what a kernel asked for.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace stepscope::host_simt {

struct Site {  // where in the source a thread waits
  const char* file;
  int line;
  bool operator==(const Site&) const = default;
};

enum class Order { forward, reverse, shuffled };  // of lanes in a warp, warps in a block, blocks in a grid

[[nodiscard]] Order usual_order();  // forward, or what STEPSCOPE_HOST_SIMT_ORDER names

struct Options {
  Order order = usual_order();
  unsigned seed = 1;  // of shuffled
  bool eager = false;  // work runs when it is issued; else when something waits for its stream
  bool others_first = false;  // not eager: before each piece of a stream's work, all that the other streams can do
  std::size_t memory_bytes = std::size_t{80} << 30;  // of the device
};
[[nodiscard]] Options& options();

void run_grid(dim3 grid, dim3 block, std::size_t dynamic_bytes, const std::function<void()>& thread);

// From inside a kernel.
[[nodiscard]] int lane();
void sync_block(Site site);
void sync_warp(unsigned mask, Site site);
struct Words {  // what a lane brings to a whole warp's exchange
  std::uint64_t at[3];
};
void exchange_words(const Words& mine, Site site);
[[nodiscard]] Words words_of(int lane);  // as they were when all had come
struct Copy {  // of 16 bytes that a thread has not waited for; from null: zeros
  void* to;
  const void* from;
};
void queue_copy(const Copy& copy, const void* from);
[[nodiscard]] bool take_copy(Copy& copy);  // the oldest of the thread's; false: none is left
void require_shared(const void* at, const char* what);  // 16 bytes of the block's shared memory, aligned
[[nodiscard]] std::uint64_t exchange(unsigned mask, std::uint64_t value, int source_lane, Site site);
[[nodiscard]] unsigned ballot(unsigned mask, bool predicate, Site site);
[[nodiscard]] void* shared_memory(const void* key, std::size_t bytes,
                                  std::size_t alignment);  // 0xFF when the block starts
[[nodiscard]] void* dynamic_shared_memory();

}  // namespace stepscope::host_simt
