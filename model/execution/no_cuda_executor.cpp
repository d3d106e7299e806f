#include "model/base/error.h"
#include "model/execution/cuda_executor.h"

namespace stepscope {

std::unique_ptr<Executor> make_cuda_executor(const Program&, const MemoryPlan&, const Machine&, bool) {
  throw Unsupported("this program was built without CUDA");
}

}  // namespace stepscope
