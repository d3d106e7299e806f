// The executor of whatever machine a step was built for.
//     const std::unique_ptr<Executor> executor = make_executor(step.program, step.plan, machine);
#pragma once

#include <memory>

#include "model/execution/cuda_executor.h"
#include "model/execution/executor.h"
#include "model/program/cost.h"

namespace stepscope {

// The program must be lowered to the machine and planned; it and the plan outlive the executor. Throws OutOfMemory, Unsupported.
[[nodiscard]] std::unique_ptr<Executor> make_executor(const Program& program, const MemoryPlan& plan,
                                                      const Machine& machine, const CardOptions& options = {});

}  // namespace stepscope
