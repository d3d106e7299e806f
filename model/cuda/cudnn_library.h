// cuDNN's file, loaded when somebody first asks for it: the program starts where it is not installed. Host SIMT has a stand-in.
#pragma once

#include <string>

namespace stepscope {

struct CudnnFile {
  void* handle = nullptr;  // dlopen's
  std::string why_not;  // where it is null
};
[[nodiscard]] const CudnnFile& cudnn_file();

}  // namespace stepscope
