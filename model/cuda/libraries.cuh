// NVIDIA's libraries beside CUDA's runtime, which is linked in: loaded when a card is first asked for, so that one program runs with and
// without them. Where nvcc compiles, cublaslt_loader.cpp stands for cuBLASLt; host SIMT has its own.
#pragma once

#include <string>

namespace stepscope {

[[nodiscard]] std::string why_libraries_are_missing();  // "": they are there

}  // namespace stepscope
