#include "model/base/error.h"
#include "model/cuda/machine.h"

namespace stepscope {

Machine simulated_card(const CardToSimulate&) {
  throw Unsupported(
      "this program runs on what is there; the build's tests have another, stepscope_simulated, for simulated cards");
}

}  // namespace stepscope
