// gradient_precision: in which type the gradients of matrices are added up over micro-steps: 4 bytes an element or 2. Inside a
// micro-step sums are in fp32 and rounded once, so a narrow type loses what N additions round away. Gradients of vectors (biases,
// norms), a thousandth of all, stay as they are. Off: fp32.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique gradient_precision_technique;

}  // namespace stepscope
