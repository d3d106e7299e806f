// Every operation there is, one row each: what it is, and how each machine runs it. A part that is missing does not link.
#pragma once

#include <span>

#include "model/cpu/binding.h"
#include "model/program/operation.h"

namespace stepscope {

struct OperationRow {
  const OperationKind* kind;
  CpuOperation cpu;
};

[[nodiscard]] std::span<const OperationRow> operation_list();
[[nodiscard]] const OperationRow& row_of(
    const OperationKind& kind);  // throws std::out_of_range for a kind that is not listed

}  // namespace stepscope
