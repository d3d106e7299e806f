#include "model/base/error.h"
#include "model/operations/cuda_workspace.h"

namespace stepscope {

std::int64_t cuda_workspace_bytes(const Program&, const Operation&) {
  throw Unsupported("this program was built without CUDA");
}

}  // namespace stepscope
