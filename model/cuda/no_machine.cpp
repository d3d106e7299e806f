#include "model/base/error.h"
#include "model/cuda/machine.h"

namespace stepscope {

namespace {
constexpr const char* without_cuda =
    "this program was built without CUDA (scripts/cuda_toolkit --help says how to build it with)";
}  // namespace

Machine this_card(int) { throw Unsupported(without_cuda); }
CardIdentity identity_of_card(int) { throw Unsupported(without_cuda); }

}  // namespace stepscope
