#include "model/base/error.h"
#include "model/cuda/machine.h"

namespace stepscope {

Machine this_card(int) {
  throw Unsupported("this program was built without CUDA (scripts/cuda_toolkit --help says how to build it with)");
}

}  // namespace stepscope
