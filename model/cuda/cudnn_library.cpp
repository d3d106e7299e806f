#include "model/cuda/cudnn_library.h"

#include <dlfcn.h>

namespace stepscope {

const CudnnFile& cudnn_file() {
  static const CudnnFile file = [] {
    CudnnFile loaded{.handle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL), .why_not = {}};
    if (loaded.handle == nullptr) loaded.why_not = "cuDNN cannot be loaded: " + std::string(dlerror());
    return loaded;
  }();
  return file;
}

}  // namespace stepscope
