#include "model/base/error.h"
#include "model/execution/cuda_executor.h"
#include "model/execution/tune_matmuls.h"

namespace stepscope {

std::unique_ptr<Executor> make_cuda_executor(const Program&, const MemoryPlan&, const Machine&, const CardOptions&) {
  throw Unsupported("this program was built without CUDA");
}

struct MatmulList::Parts {};
MatmulList::MatmulList(int) { throw Unsupported("this program was built without CUDA"); }
MatmulList::~MatmulList() = default;
void MatmulList::add(const Program&, const MemoryPlan&) {}
std::vector<std::string> MatmulList::signatures() const { return {}; }
MatmulTuning MatmulList::tune(MatmulTuning known, const std::function<void()>&) const { return known; }

}  // namespace stepscope
