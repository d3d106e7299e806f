// NVIDIA's driver, or what a toolkit has in its place to link with: libcuda.so.1 by name, with nothing behind it.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <string>

namespace stepscope::testing {

// Loads it.
inline bool has_driver_or_stub() {
  const char* const home = std::getenv("CUDA_HOME");
  for (const std::string& file :
       {std::string("libcuda.so.1"), std::string(home == nullptr ? "" : home) + "/lib64/stubs/libcuda.so",
        std::string("/usr/local/cuda/lib64/stubs/libcuda.so")})
    if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return true;
  return false;
}

}  // namespace stepscope::testing
