// The processor that this process runs on, as a Machine to lower programs to.
//     lower(program, this_cpu(2));
// native_bf16 and native_fp16 follow what oneDNN will use, so DNNL_MAX_CPU_ISA=AVX2 in the environment turns them off.
#pragma once

#include <string>

#include "model/program/cost.h"

namespace stepscope {

[[nodiscard]] Machine this_cpu(int threads);
[[nodiscard]] std::string onednn_version();  // of the library that is loaded: "2.6.3"
[[nodiscard]] int cpu_cores();  // that this process may run on, by its affinity

}  // namespace stepscope
