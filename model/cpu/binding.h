// An operation tied to its memory on the CPU: addresses are fixed when a program is loaded, so a step only calls.
//     CpuRun run = row_of(*operation.kind).cpu.bind(binding);      // may allocate, make oneDNN primitives ...
//     run();                                                       // may not: every step, from one thread, uses binding.threads
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "model/program/control_block.h"
#include "model/program/cost.h"
#include "model/program/program.h"

namespace stepscope {

class Threads;

struct CpuBinding {
  const Program* program = nullptr;
  const Operation* operation = nullptr;
  std::vector<std::byte*> ins;  // first element of the operand's view; a view's micro_stride is left to the operation
  std::vector<std::byte*> outs;  // whole values
  std::vector<std::byte*> writes;  // whole states
  std::byte* workspace = nullptr;  // operation->workspace_bytes, 256-byte aligned, content undefined
  ControlBlock* control = nullptr;
  Threads* threads = nullptr;  // outlives the program
  const Machine* machine = nullptr;

  template <class T>
  [[nodiscard]] T* in(int i) const {
    return reinterpret_cast<T*>(ins[static_cast<std::size_t>(i)]);
  }
  template <class T>
  [[nodiscard]] T* out(int i) const {
    return reinterpret_cast<T*>(outs[static_cast<std::size_t>(i)]);
  }
  template <class T>
  [[nodiscard]] T* write(int i) const {
    return reinterpret_cast<T*>(writes[static_cast<std::size_t>(i)]);
  }
  [[nodiscard]] const View& in_view(int i) const { return operation->ins[static_cast<std::size_t>(i)].view; }
  [[nodiscard]] DType in_dtype(int i) const { return program->type(operation->ins[static_cast<std::size_t>(i)]).dtype; }
  [[nodiscard]] const TensorType& out_type(int i) const {
    return program->value(operation->outs[static_cast<std::size_t>(i)]).type;
  }
  [[nodiscard]] const TensorType& write_type(int i) const {
    return program->state(operation->writes[static_cast<std::size_t>(i)].state).type;
  }
};

using CpuRun = std::function<void()>;

// Whether write i adds to what the state holds in the present micro-step.
[[nodiscard]] inline bool adds(Accumulate accumulate, const ControlBlock& control) {
  return accumulate == Accumulate::always || (accumulate == Accumulate::after_first && control.micro_step > 0);
}

struct CpuOperation {
  std::int64_t (*workspace_bytes)(const Program&, const Operation&, const Machine&) = nullptr;  // null: none
  CpuRun (*bind)(const CpuBinding&) = nullptr;
};

}  // namespace stepscope
