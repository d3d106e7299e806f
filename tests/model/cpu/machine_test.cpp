// This processor as a Machine.
#include "model/cpu/machine.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace stepscope {
namespace {

TEST(Machine, describes_this_processor) {
  const Machine machine = this_cpu(3);
  EXPECT_EQ(machine.kind, Machine::Kind::cpu);
  EXPECT_EQ(machine.threads, 3);
  EXPECT_FALSE(machine.name.empty());
  EXPECT_GT(machine.memory_bytes, std::int64_t{1} << 28);
  EXPECT_GE(cpu_cores(), 1);
}

TEST(Machine, does_not_multiply_bf16_where_oneDNN_is_held_to_avx2) {
  const char* limit = std::getenv("DNNL_MAX_CPU_ISA");
  if (limit == nullptr || std::string(limit) != "AVX2") GTEST_SKIP() << "run with DNNL_MAX_CPU_ISA=AVX2";
  EXPECT_FALSE(this_cpu(1).native_bf16);
}

}  // namespace
}  // namespace stepscope
