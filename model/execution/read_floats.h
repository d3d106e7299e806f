// A state's elements as floats, whatever type it is held in.
//     const std::vector<float> gradient = read_floats(executor, program, program.belonging_to(id, StateKind::gradient));
#pragma once

#include <vector>

#include "model/execution/executor.h"

namespace stepscope {

[[nodiscard]] std::vector<float> read_floats(const Executor& executor, const Program& program, StateId state);

}  // namespace stepscope
