#include "model/operations/lowering.h"

#include "model/base/error.h"
#include "model/operations/attention/attention_library.h"
#include "model/operations/cuda_workspace.h"
#include "model/operations/list.h"

namespace stepscope {

void lower(Program& program, const Machine& machine) {
  for (Operation& op : program.operations) {
    if (machine.has_kernels) {
      op.workspace_bytes = cuda_workspace_bytes(program, op);
      continue;
    }
    if (by_library(op) && machine.kind == Machine::Kind::cpu) throw Unsupported("attention by cuDNN: this is a CPU");
    if (by_library(op)) {  // of a card that is not here
      op.workspace_bytes = library_attention_workspace_bytes(op);
      continue;
    }
    const CpuOperation& cpu = row_of(*op.kind).cpu;
    op.workspace_bytes = cpu.workspace_bytes == nullptr ? 0 : cpu.workspace_bytes(program, op, machine);
  }
}

}  // namespace stepscope
