// Sums of gradients where no operation could take them along. They stand here because differentiation emits them.
// add        c = a + b, of one type                         in   a, b     out   c, over a or b
// add_rows   the gradient of a whole value from that of some of its rows: y = so_far, the piece added to rows first_row ..;
//            without so_far all other rows are 0            in   piece, so_far?     out   y [attributes.whole], over so_far
#pragma once

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind add_kind;
extern const OperationKind add_rows_kind;

}  // namespace stepscope
