// The operations that run on a card, one row each. What is not here is Unsupported there: an outcome, never another result.
#pragma once

#include <span>

#include "model/cuda/binding.cuh"
#include "model/program/operation.h"

namespace stepscope {

struct CudaRow {
  const OperationKind* kind;
  CudaOperation cuda;
};

[[nodiscard]] std::span<const CudaRow> cuda_operation_list();
[[nodiscard]] const CudaOperation& cuda_row_of(
    const OperationKind& kind);  // throws Unsupported for a kind without a row

}  // namespace stepscope
