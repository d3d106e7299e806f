#include "model/execution/make_executor.h"

#include "model/execution/cpu_executor.h"

namespace stepscope {

std::unique_ptr<Executor> make_executor(const Program& program, const MemoryPlan& plan, const Machine& machine,
                                        const CardOptions& options) {
  if (machine.has_kernels) return make_cuda_executor(program, plan, machine, options);
  return std::make_unique<CpuExecutor>(program, plan, machine);
}

}  // namespace stepscope
