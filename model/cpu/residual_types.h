// The two types of an operation between the residual stream and a branch: the same, or a stream in fp32 beside a narrow branch.
//     return dispatch_residual(stream, branch, [&]<class R, class T>() { return bind<R, T>(binding); });
#pragma once

#include <string>

#include "model/base/half.h"

namespace stepscope {

// Throws ProgramError (V2) for another pair.
template <class Body>
auto dispatch_residual(DType residual, DType branch, Body&& body) {
  return dispatch(branch, [&]<class T>() {
    if (residual == branch) return body.template operator()<T, T>();
    if constexpr (sizeof(T) < sizeof(float))
      if (residual == DType::fp32) return body.template operator()<float, T>();
    throw ProgramError(
        "V2", "a residual stream in " + std::string(name_of(residual)) + " beside " + std::string(name_of(branch)));
  });
}

}  // namespace stepscope
