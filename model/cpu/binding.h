// An operation tied to its memory on the CPU: addresses are fixed when a program is loaded, so a step only calls.
//     CpuRun run = row_of(*operation.kind).cpu.bind(binding);      // may allocate, make oneDNN primitives ...
//     run();                                                       // may not: every step, from one thread, uses binding.threads
#pragma once

#include <functional>

#include "model/program/binding.h"
#include "model/program/cost.h"

namespace stepscope {

class Threads;

struct CpuBinding : OperationBinding {
  Threads* threads = nullptr;  // outlives the program
  const Machine* machine = nullptr;
};

using CpuRun = std::function<void()>;

struct CpuOperation {
  std::int64_t (*workspace_bytes)(const Program&, const Operation&, const Machine&) = nullptr;  // null: none
  CpuRun (*bind)(const CpuBinding&) = nullptr;
};

}  // namespace stepscope
