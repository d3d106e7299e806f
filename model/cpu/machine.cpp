#include "model/cpu/machine.h"

#include <sched.h>
#include <unistd.h>

#include <dnnl.h>

#include <fstream>
#include <string>
#include <thread>

#include "model/base/error.h"
#include "model/cpu/tile_matmul.h"

namespace stepscope {
namespace {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

// ISA values are sets of bits: a greater one contains every smaller one that it can run.
bool multiplies_bf16() {
#if defined(__x86_64__)
  const unsigned isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  const unsigned wanted = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (isa & wanted) == wanted;
#else
  return false;
#endif
}

// oneDNN is asked itself: whether it has fp16 matmuls depends on its version as well. "ref" would be plain loops.
bool multiplies_fp16() {
  try {
    const std::string kernel = TileMatmul::get({.m = 64,
                                                .n = 64,
                                                .k = 64,
                                                .a_stride = 64,
                                                .b_stride = 64,
                                                .c_stride = 64,
                                                .in = DType::fp16,
                                                .out = DType::fp32})
                                   ->implementation();
    return kernel.find("ref") == std::string::npos;
  } catch (const MachineError&) {
    return false;
  }
}

}  // namespace

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." + std::to_string(version->patch);
}

int cpu_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  const unsigned cores = std::thread::hardware_concurrency();
  return cores == 0 ? 1 : static_cast<int>(cores);
}

Machine this_cpu(int threads) {
  const auto pages = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<std::int64_t>(sysconf(_SC_PAGESIZE));
  return {.kind = Machine::Kind::cpu,
          .name = processor_name(),
          .threads = threads,
          .native_bf16 = multiplies_bf16(),
          .native_fp16 = multiplies_fp16(),
          .memory_bytes = pages * page_bytes,
          .copies_states = true};
}

}  // namespace stepscope
