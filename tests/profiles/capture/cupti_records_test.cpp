// Hand-made buffers through CUPTI's own reader: what is there is read, what cannot be read is counted.
#include "profiles/capture/cupti_records.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/made_records.h"

namespace stepscope {
namespace {

using testing::Record;
using testing::record_of;

class Buffer {
 public:
  template <class R>
  Buffer& operator<<(const R& record) {
    const Record bytes = record_of(record);
    std::memcpy(begin() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return *this;
  }
  [[nodiscard]] DeviceActivity read(std::size_t cut = 0) {
    DeviceActivity activity;
    add_records(activity, begin(), size_ - cut);
    return activity;
  }

 private:
  std::uint8_t* begin() { return reinterpret_cast<std::uint8_t*>(memory_.data()); }
  std::vector<std::uint64_t> memory_ = std::vector<std::uint64_t>(1024);
  std::size_t size_ = 0;
};

CUpti_ActivityKernel10 kernel(const char* name, std::uint64_t start = 10, std::uint64_t end = 25) {
  CUpti_ActivityKernel10 record{};
  record.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  record.name = name;
  record.start = start;
  record.end = end;
  record.streamId = 7;
  record.correlationId = 5;
  record.graphNodeId = 1ULL << 40;
  return record;
}

TEST(CuptiRecords, of_each_kind_are_read_field_by_field) {
  CUpti_ActivityMemcpy6 copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_HTOD;
  copy.bytes = 4096;
  copy.start = 30;
  copy.end = 31;
  CUpti_ActivityAPI call{};
  call.kind = CUPTI_ACTIVITY_KIND_RUNTIME;
  call.cbid = CUPTI_RUNTIME_TRACE_CBID_cudaLaunchKernel_v7000;
  call.correlationId = 5;
  CUpti_ActivityExternalCorrelation said{};
  said.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
  said.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;
  said.externalId = packed({.step = 1, .micro_step = 2, .operation = 3});
  said.correlationId = 5;
  CUpti_ActivityMemory4 memory{};
  memory.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  memory.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_ALLOCATION;
  memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  memory.address = 0x7f00;
  memory.bytes = 1 << 20;
  memory.timestamp = 8;
  CUpti_ActivityOverhead3 overhead{};
  overhead.kind = CUPTI_ACTIVITY_KIND_OVERHEAD;
  overhead.overheadKind = CUPTI_ACTIVITY_OVERHEAD_LAZY_FUNCTION_LOADING;
  overhead.start = 1;
  overhead.end = 4;
  Buffer buffer;
  buffer << said << call << kernel("_Z3addPfS_") << copy << memory << overhead;
  const DeviceActivity activity = buffer.read();
  ASSERT_EQ(activity.work.size(), 2U);
  const DeviceWork& first = activity.work[0];
  EXPECT_EQ(first.name, "add(float*, float*)");
  EXPECT_EQ(first.kind, WorkKind::kernel);
  EXPECT_EQ(first.duration_ns(), 15);
  EXPECT_EQ(first.stream, 7U);
  EXPECT_EQ(first.graph_node, 1ULL << 40);
  EXPECT_FALSE(first.bytes);
  EXPECT_EQ(activity.work[1].name, "copy host to device");
  EXPECT_EQ(activity.work[1].bytes, 4096);
  ASSERT_EQ(activity.calls.size(), 1U);
  EXPECT_EQ(activity.calls[0].name, "cudaLaunchKernel");
  EXPECT_EQ(unpacked(activity.owner_of_correlation.at(5)), (WorkOwner{1, 2, 3}));
  ASSERT_EQ(activity.allocations.size(), 1U);
  EXPECT_EQ(activity.allocations[0].bytes, 1 << 20);
  EXPECT_EQ(activity.allocations[0].memory, DeviceAllocation::Memory::device);
  EXPECT_FALSE(activity.allocations[0].release);
  EXPECT_EQ(activity.overheads.at(0).what, "lazy loading");
  EXPECT_FALSE(activity.overheads.at(0).profiler);
  EXPECT_FALSE(activity.lost.any());
}

TEST(CuptiRecords, kinds_that_nothing_here_reads_are_counted_and_passed_over) {
  CUpti_ActivityMarker2 marker{};
  marker.kind = CUPTI_ACTIVITY_KIND_MARKER;
  Buffer buffer;
  buffer << marker << kernel("a") << marker;
  const DeviceActivity activity = buffer.read();
  EXPECT_EQ(activity.work.size(), 1U);
  EXPECT_EQ(activity.lost.other_kinds, (std::map<int, std::int64_t>{{CUPTI_ACTIVITY_KIND_MARKER, 2}}));
  EXPECT_FALSE(activity.lost.any());  // nothing that was asked for
}

TEST(CuptiRecords, behind_a_kind_that_cupti_does_not_know_bytes_are_lost_and_counted) {
  CUpti_ActivityKernel10 strange = kernel("b");
  strange.kind = static_cast<CUpti_ActivityKind>(200);
  Buffer buffer;
  buffer << kernel("a") << strange << kernel("c");
  const DeviceActivity activity = buffer.read();
  EXPECT_EQ(activity.work.size(), 1U);
  EXPECT_EQ(activity.lost.unread_bytes, static_cast<std::int64_t>(2 * sizeof strange));
}

TEST(CuptiRecords, that_are_cut_off_are_lost_and_counted) {
  Buffer buffer;
  buffer << kernel("a") << kernel("b");
  const DeviceActivity activity = buffer.read(8);
  EXPECT_EQ(activity.work.size(), 1U);
  EXPECT_EQ(activity.lost.unread_bytes, static_cast<std::int64_t>(sizeof(CUpti_ActivityKernel10) - 8));
  EXPECT_EQ(Buffer().read().lost.unread_bytes, 0);
}

TEST(CuptiRecords, without_times_are_counted_not_guessed) {
  Buffer buffer;
  buffer << kernel("a", 0, 0) << kernel(nullptr, 20, 10) << kernel(nullptr);
  const DeviceActivity activity = buffer.read();
  EXPECT_EQ(activity.lost.untimed_records, 2);
  EXPECT_EQ(activity.work.at(0).name, "a kernel without a name");
}

}  // namespace
}  // namespace stepscope
