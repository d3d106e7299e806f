// Operations that only tests have, so that one operation becomes a whole program that can be differentiated:
//     given      state [G, ...] master -> x [b, ...] compute type, the rows of the present micro-step; its gradient goes to the same rows
//     project    y_1 .. y_n, weights w_1 .. w_n (states [G, ...] fp64) -> loss [1] = sum of w y; its gradient hands w to
//                each y, in the compute type
#pragma once

#include <span>
#include <vector>

#include "model/operations/list.h"
#include "model/program/builder.h"

namespace stepscope::testing {

[[nodiscard]] std::span<const OperationRow> test_kinds();
// The row of a kind, be it stepscope's or a test's.
[[nodiscard]] const OperationRow& row_of_any(const OperationKind& kind);

ValueId given(Builder& b, const Operand& rows, DType output);
ValueId project(Builder& b, const std::vector<Operand>& outputs, const std::vector<Operand>& weights);

}  // namespace stepscope::testing
