// residual_precision: in which type the residual stream lives: "compute", that of precision, or fp32. Each block's branch stays in
// the compute type; the stream that branches are added to is not rounded to it, at 2 bytes more a token and feature. Off: compute.
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique residual_precision_technique;

}  // namespace stepscope
