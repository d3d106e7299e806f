// Fits a program to a machine: the workspace of each operation. Nothing else about a program depends on the machine.
#pragma once

#include "model/program/cost.h"
#include "model/program/program.h"

namespace stepscope {

void lower(Program& program, const Machine& machine);  // sets workspace_bytes of every operation

}  // namespace stepscope
