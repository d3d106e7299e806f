#include "model/operations/lowering.h"

#include "model/operations/cuda_workspace.h"
#include "model/operations/list.h"

namespace stepscope {

void lower(Program& program, const Machine& machine) {
  for (Operation& op : program.operations) {
    if (machine.has_kernels) {
      op.workspace_bytes = cuda_workspace_bytes(program, op);
      continue;
    }
    const CpuOperation& cpu = row_of(*op.kind).cpu;
    op.workspace_bytes = cpu.workspace_bytes == nullptr ? 0 : cpu.workspace_bytes(program, op, machine);
  }
}

}  // namespace stepscope
