#include "model/cpu/operands.h"

#include <string>

#include "model/base/error.h"
#include "model/cpu/threads.h"
#include "model/program/operation.h"

namespace stepscope {

MatrixView matrix_of(const View& view, std::string_view operation) {
  const int rank = view.shape.rank();
  const auto stride = [&](int axis) { return view.strides[static_cast<std::size_t>(axis)]; };
  const auto refuse = [&](const char* why) { throw ProgramError("V2", std::string(operation) + ": " + why); };
  if (rank == 0) return {1, 1, 1};
  if (rank == 1) return {1, view.shape[0], view.shape[0]};
  if (rank == 2 && stride(1) != 1 && stride(0) == 1) return {view.shape[0], view.shape[1], stride(1), true};
  if (stride(rank - 1) != 1 && view.shape.last() != 1) refuse("the last axis of an operand is not contiguous");
  for (int axis = rank - 2; axis > 0; --axis)
    if (stride(axis - 1) != view.shape[axis] * stride(axis) && view.shape[axis - 1] != 1)
      refuse("the rows of an operand are not evenly spaced");
  return {view.shape.rows(), view.shape.last(), stride(rank - 2)};
}

void check_slots(const CpuBinding& binding) {
  if (binding.threads->count() > binding.machine->threads)
    throw ProgramError("workspace", std::string(binding.operation->kind->name) + ": planned for fewer threads");
}

DType in_dtype(const Program& program, const Operation& op, int in) {
  return program.type(op.ins[static_cast<std::size_t>(in)]).dtype;
}

}  // namespace stepscope
