// The stand-in's libraries: cuBLASLt is linked in, cuDNN a library of its own beside the test program, loaded as the real one is.
#include "model/cuda/libraries.cuh"

#include <dlfcn.h>

#include <utility>

#include "model/cuda/cudnn_library.h"
#include "tests/support/build_folder.h"
#include "tests/support/cudnn_stand_in/connection.h"
#include "tests/support/driver_stub.h"
#include "tests/support/host_simt/runtime.cuh"

namespace stepscope {

std::string why_libraries_are_missing() { return ""; }

const CudnnFile& cudnn_file() {
  static const cudnn_stand_in::Connection connection{.enqueue =
                                                         [](cudaStream_t stream, std::function<void()> work) {
                                                           return host_simt::enqueue(stream, std::move(work),
                                                                                     {.name = "cudnn"});
                                                         },
                                                     .in_device_memory = host_simt::in_device_memory};
  static const CudnnFile file = [] {
    if (!testing::has_driver_or_stub())  // the real library, which makes its descriptors, offers no engine without
      return CudnnFile{.why_not = "neither a driver nor a toolkit's stub of one"};
    CudnnFile loaded{.handle = dlopen((build_folder() + "/libcudnn_stand_in.so").c_str(), RTLD_NOW | RTLD_LOCAL),
                     .why_not = {}};
    if (loaded.handle == nullptr) return CudnnFile{.why_not = dlerror()};
    loaded.why_not =
        reinterpret_cast<cudnn_stand_in::Connect*>(dlsym(loaded.handle, cudnn_stand_in::connect_name))(&connection);
    if (!loaded.why_not.empty()) loaded.handle = nullptr;
    return loaded;
  }();
  return file;
}

}  // namespace stepscope
