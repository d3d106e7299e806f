// The stand-in itself: what it computes is what CUDA documents, and what it cannot do it refuses.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "model/cuda/handles.cuh"
#include "model/cuda/team.cuh"
#include "tests/support/host_simt/runtime.cuh"
#include "tests/support/on_card.cuh"

namespace stepscope::testing {

using host_simt::last_message;
using host_simt::Order;
using host_simt::take_error;

namespace {

constexpr Order all_orders[] = {Order::forward, Order::reverse, Order::shuffled};

__global__ void lanes_kernel(int* up, int* down, int* across, unsigned* votes) {
  const int me = static_cast<int>(threadIdx.x);
  up[me] = __shfl_up_sync(whole_warp, me, 3);
  down[me] = __shfl_down_sync(whole_warp, me, 3, 16);
  across[me] = __shfl_sync(whole_warp, me, 9, 8);
  votes[me] = __ballot_sync(whole_warp, me % 3 == 0);
}

__global__ void reverse_kernel(const int* from, int* to) {
  auto& held = block_shared<std::array<int, 64>>();
  held[threadIdx.x] = from[threadIdx.x];
  __syncthreads();
  to[threadIdx.x] = held[63 - threadIdx.x];
}
__global__ void no_barrier_kernel(const int* from, int* to) {
  auto& held = block_shared<std::array<int, 64>>();
  held[threadIdx.x] = from[threadIdx.x];
  to[threadIdx.x] = held[63 - threadIdx.x];
}

__global__ void leaves_early_kernel(int) {
  if (threadIdx.x >= 7) __syncthreads();
}
__global__ void two_barriers_kernel(int) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void absent_lanes_kernel(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(whole_warp, 1.0f, 1);
}
__global__ void much_memory_kernel(int) { block_shared<std::array<float, 20000>>()[0] = 1; }
__global__ void add_one_kernel(int* x) { x[threadIdx.x] += 1; }

template <class T>
__global__ void mma_kernel(const std::uint16_t* a, const std::uint16_t* b, float* d) {  // a [16,16], b [16,8], d [16,8]
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  const auto two = [](std::uint16_t low, std::uint16_t high) { return low | std::uint32_t{high} << 16; };
  std::uint32_t left[4], right[2];
  for (int r = 0; r < 4; ++r) {
    const std::uint16_t* at = a + (g + 8 * (r % 2)) * 16 + 2 * t + 8 * (r / 2);
    left[r] = two(at[0], at[1]);
  }
  for (int r = 0; r < 2; ++r) {
    const std::uint16_t* at = b + (2 * t + 8 * r) * 8 + g;
    right[r] = two(at[0], at[8]);
  }
  float sums[4] = {1, 1, 1, 1};
  mma_16x8x16<T>(sums, left, right);
  for (int i = 0; i < 4; ++i) d[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = sums[i];
}

struct Square {
  alignas(16) std::uint16_t at[16][16];
};
__global__ void matrices_kernel(std::uint32_t* straight, std::uint32_t* turned) {
  auto& square = block_shared<Square>().at;
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 256; i += 32) square[i / 16][i % 16] = static_cast<std::uint16_t>(i);
  __syncthreads();
  const SharedAddress row = shared_address(&square[lane % 16][lane / 16 * 8]);
  std::uint32_t r[4];
  load_matrices(r, row);
  for (int m = 0; m < 4; ++m) straight[4 * lane + m] = r[m];
  load_matrices_transposed(r, row);
  for (int m = 0; m < 4; ++m) turned[4 * lane + m] = r[m];
}

struct Numbers {
  alignas(16) int at[256];
};
__global__ void copies_kernel(const int* from, int* to, bool waits) {  // the first 160 of 256
  auto& held = block_shared<Numbers>().at;
  const int me = static_cast<int>(threadIdx.x);
  copy_16(shared_address(held + 4 * me), from + 4 * me, me < 40);
  if (waits) wait_for_copies();
  __syncthreads();
  for (int i = 0; i < 4; ++i) to[4 * (63 - me) + i] = held[4 * (63 - me) + i];  // another thread's
}
__global__ void crooked_copy_kernel(const int* from) {
  copy_16(shared_address(block_shared<Numbers>().at), from + 1, true);
  wait_for_copies();
}
__global__ void copy_to_global_kernel(const int* from, int* to) {
  copy_16(shared_address(to), from, true);
  wait_for_copies();
}

std::vector<int> counting(int n) {
  std::vector<int> numbers(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) numbers[static_cast<std::size_t>(i)] = i;
  return numbers;
}

}  // namespace

class HostSimt : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!is_host_simt) GTEST_SKIP() << "of the stand-in alone";
  }
  void TearDown() override {
    host_simt::options() = {};
    (void)take_error();
  }
  void expect_refused(const char* why) {
    EXPECT_NE(cudaStreamSynchronize(stream.get()), cudaSuccess);
    EXPECT_NE(last_message().find(why), std::string::npos) << last_message();
    (void)take_error();
  }
  Stream stream;
};

TEST_F(HostSimt, shuffles_and_votes_are_those_of_cuda) {
  for (const Order order : all_orders) {
    host_simt::options().order = order;
    OnCard<int> up(stream, 32), down(stream, 32), across(stream, 32);
    OnCard<unsigned> votes(stream, 32);
    launch(lanes_kernel, 1, 32, 0, stream.get(), up.at(), down.at(), across.at(), votes.at());
    for (int me = 0; me < 32; ++me) {
      EXPECT_EQ(up.read()[static_cast<std::size_t>(me)], me < 3 ? me : me - 3);
      EXPECT_EQ(down.read()[static_cast<std::size_t>(me)], me % 16 + 3 < 16 ? me + 3 : me);
      EXPECT_EQ(across.read()[static_cast<std::size_t>(me)], me / 8 * 8 + 1);
      EXPECT_EQ(votes.read()[static_cast<std::size_t>(me)], 0x49249249u);
    }
  }
}

TEST_F(HostSimt, a_barrier_orders_shared_memory_and_its_absence_shows_in_some_order) {
  bool wrong = false;
  for (const Order order : all_orders) {
    host_simt::options().order = order;
    const OnCard<int> from(stream, counting(64));
    OnCard<int> to(stream, 64);
    launch(reverse_kernel, 1, 64, 0, stream.get(), from.at(), to.at());
    std::vector<int> expected = counting(64);
    std::reverse(expected.begin(), expected.end());
    EXPECT_EQ(to.read(), expected);
    launch(no_barrier_kernel, 1, 64, 0, stream.get(), from.at(), to.at());
    wrong |= to.read() != expected;
  }
  EXPECT_TRUE(wrong);
}

namespace {
template <class T>
void expect_products(const Stream& stream) {
  std::vector<std::uint16_t> a(16 * 16), b(16 * 8);
  const auto number = [](std::size_t i) { return static_cast<float>((i * 7) % 11) - 5; };
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = store<T>(number(i)).bits;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = store<T>(number(3 * i + 1)).bits;
  const OnCard<std::uint16_t> left(stream, a), right(stream, b);
  OnCard<float> d(stream, 16 * 8);
  launch(mma_kernel<T>, 1, 32, 0, stream.get(), left.at(), right.at(), d.at());
  const std::vector<float> got = d.read();
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t j = 0; j < 8; ++j) {
      float sum = 1;
      for (std::size_t k = 0; k < 16; ++k) sum += load(T{a[i * 16 + k]}) * load(T{b[k * 8 + j]});
      EXPECT_EQ(got[i * 8 + j], sum) << i << "," << j;
    }
}
}  // namespace

TEST_F(HostSimt, tensor_cores_multiply_as_their_fragments_are_documented) {
  expect_products<bf16>(stream);
  expect_products<fp16>(stream);
}

// Matrix m of 16 x 16 words that count up is rows 8 (m % 2), columns 8 (m / 2).
TEST_F(HostSimt, matrices_are_loaded_as_documented_straight_and_turned) {
  for (const Order order : all_orders) {
    host_simt::options().order = order;
    OnCard<std::uint32_t> straight(stream, 128), turned(stream, 128);
    launch(matrices_kernel, 1, 32, 0, stream.get(), straight.at(), turned.at());
    const std::vector<std::uint32_t> as_is = straight.read(), transposed = turned.read();
    for (std::uint32_t lane = 0; lane < 32; ++lane)
      for (std::uint32_t m = 0; m < 4; ++m) {
        const std::uint32_t corner = m % 2 * 8 * 16 + m / 2 * 8, g = lane / 4, t = lane % 4;
        const std::uint32_t across = corner + g * 16 + 2 * t, down = corner + 2 * t * 16 + g;
        EXPECT_EQ(as_is[4 * lane + m], across | (across + 1) << 16);
        EXPECT_EQ(transposed[4 * lane + m], down | (down + 16) << 16);
      }
  }
}

TEST_F(HostSimt, copies_to_shared_memory_are_there_when_waited_for_and_not_relied_on_before) {
  std::vector<int> numbers = counting(256);
  const OnCard<int> from(stream, numbers);
  OnCard<int> to(stream, 256);
  for (std::size_t i = 160; i < 256; ++i) numbers[i] = 0;  // not present
  for (const Order order : all_orders) {
    host_simt::options().order = order;
    launch(copies_kernel, 1, 64, 0, stream.get(), from.at(), to.at(), true);
    EXPECT_EQ(to.read(), numbers);
    if (order == Order::reverse) continue;
    launch(copies_kernel, 1, 64, 0, stream.get(), from.at(), to.at(), false);
    expect_refused("before its copies");
  }
  host_simt::options() = {};
  launch(crooked_copy_kernel, 1, 32, 0, stream.get(), from.at());
  expect_refused("16 does not divide");
  launch(copy_to_global_kernel, 1, 32, 0, stream.get(), from.at(), to.at());
  expect_refused("shared memory");
}

TEST_F(HostSimt, kernels_that_would_hang_or_not_start_are_refused) {
  launch(leaves_early_kernel, 1, 64, 0, stream.get(), 0);
  expect_refused("have ended");
  launch(two_barriers_kernel, 1, 64, 0, stream.get(), 0);
  expect_refused("divergence");
  OnCard<float> x(stream, 32);
  launch(absent_lanes_kernel, 1, 32, 0, stream.get(), x.at());
  expect_refused("a lane that is not there");
  launch(much_memory_kernel, 1, 32, 0, stream.get(), 0);
  expect_refused("too much shared memory");
  EXPECT_THROW(launch(leaves_early_kernel, 1, 2048, 0, stream.get(), 0), std::exception);
  EXPECT_THROW(launch(leaves_early_kernel, 1, 32, 64 << 10, stream.get(), 0), std::exception);
  EXPECT_THROW(launch(leaves_early_kernel, 1, 32, 0, nullptr, 0), std::exception);
  std::vector<float> of_host(32);
  EXPECT_THROW(launch(absent_lanes_kernel, 1, 32, 0, stream.get(), of_host.data()), std::exception);
}

TEST_F(HostSimt, copies_that_leave_their_memory_are_refused) {
  const DeviceMemory device(256);
  const PinnedMemory pinned(512);
  std::vector<std::byte> pageable(256);
  const auto copy = [&](void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, stream.get());
  };
  EXPECT_NE(copy(device.data(), pageable.data(), 256, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_NE(copy(device.data(), pinned.data(), 257, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_NE(copy(pinned.data(), device.data(), 256, cudaMemcpyHostToDevice), cudaSuccess);
  EXPECT_NE(cudaMemsetAsync(device.data() + 1, 0, 256, stream.get()), cudaSuccess);
  EXPECT_EQ(copy(device.data(), pinned.data(), 256, cudaMemcpyHostToDevice), cudaSuccess);
}

TEST_F(HostSimt, a_kernel_that_writes_past_the_end_of_its_memory_is_refused) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends the program there";
#endif
  OnCard<int> x(stream, counting(31));
  launch(add_one_kernel, 1, 32, 0, stream.get(), x.at());
  expect_refused("past the end of 124 bytes");
  EXPECT_EQ(x.read()[30], 31);
}

TEST_F(HostSimt, nothing_is_there_before_it_is_waited_for) {
  OnCard<int> x(stream, counting(32));
  const PinnedMemory back(32 * sizeof(int));
  const Stream other;
  const StreamMark mark;
  launch(add_one_kernel, 1, 32, 0, stream.get(), x.at());
  mark.record(stream.get());
  const auto first = [&] {
    int number = 0;
    std::memcpy(&number, back.data() + 5 * sizeof(int), sizeof(int));
    return number;
  };
  const auto fetch = [&] {
    STEPSCOPE_CUDA(cudaMemcpyAsync(back.data(), x.at(), back.bytes(), cudaMemcpyDeviceToHost, other.get()));
  };
  fetch();
  EXPECT_EQ(first(), -1);  // poison
  other.synchronise();
  EXPECT_EQ(first(), 5);  // before the kernel: nobody waited for it
  other.wait_for(mark);
  fetch();
  other.synchronise();
  EXPECT_EQ(first(), 6);
}

TEST_F(HostSimt, memory_of_a_stream_lives_between_its_allocation_and_its_release) {
  const std::size_t before = host_simt::counts().live_bytes;
  void* at = nullptr;
  STEPSCOPE_CUDA(cudaMallocAsync(&at, 128, stream.get()));
  STEPSCOPE_CUDA(cudaMemsetAsync(at, 0, 128, stream.get()));
  launch(add_one_kernel, 1, 32, 0, stream.get(), static_cast<int*>(at));
  EXPECT_EQ(host_simt::counts().live_bytes, before + 128);
  STEPSCOPE_CUDA(cudaFreeAsync(at, stream.get()));
  stream.synchronise();
  EXPECT_EQ(host_simt::counts().live_bytes, before);
  EXPECT_THROW(launch(add_one_kernel, 1, 32, 0, stream.get(), static_cast<int*>(at)), std::exception);
}

TEST_F(HostSimt, a_graph_runs_when_launched_over_two_streams_and_again) {
  for (const bool eager : {false, true}) {
    host_simt::options().eager = eager;
    OnCard<int> x(stream, counting(32)), y(stream, counting(32));
    const Stream other;
    const StreamMark fork, join;
    const CapturedWork work(stream, [&] {
      launch(add_one_kernel, 1, 32, 0, stream.get(), x.at());
      fork.record(stream.get());
      other.wait_for(fork);
      launch(add_one_kernel, 1, 32, 0, other.get(), x.at());
      launch(add_one_kernel, 1, 32, 0, stream.get(), y.at());
      join.record(other.get());
      stream.wait_for(join);
    });
    EXPECT_EQ(work.nodes(), 3U);
    EXPECT_EQ(x.read()[5], 5);
    for (int i = 0; i < 3; ++i) work.launch(stream);
    EXPECT_EQ(x.read()[5], 11);
    EXPECT_EQ(y.read()[5], 8);
  }
}

TEST_F(HostSimt, captures_that_allocate_wait_or_forget_a_stream_are_refused) {
  OnCard<int> x(stream, counting(32));
  EXPECT_THROW(CapturedWork(stream, [&] { const DeviceMemory more(16); }), std::exception);
  EXPECT_THROW(CapturedWork(stream, [&] { stream.synchronise(); }), std::exception);
  const Stream other;
  const StreamMark fork;
  EXPECT_THROW(CapturedWork(stream,
                            [&] {
                              fork.record(stream.get());
                              other.wait_for(fork);
                              launch(add_one_kernel, 1, 32, 0, other.get(), x.at());
                            }),
               std::exception);
  stream.synchronise();
}

TEST_F(HostSimt, times_between_marks_are_those_of_the_work_and_need_waiting) {
  const StreamMark begin(true), end(true), untimed;
  begin.record(stream.get());
  launch(leaves_early_kernel, 1, 7, 0, stream.get(), 0);
  end.record(stream.get());
  untimed.record(stream.get());
  EXPECT_THROW((void)end.milliseconds_since(begin), MachineError);
  end.synchronise();
  EXPECT_GT(end.milliseconds_since(begin), 0);
  EXPECT_THROW((void)end.milliseconds_since(untimed), MachineError);
}

}  // namespace stepscope::testing
