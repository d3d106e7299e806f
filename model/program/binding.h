// An operation and its memory, whatever the machine: the part of CpuBinding and CudaBinding that they share.
//     const float* x = binding.in<const float>(0);
// On a card the addresses, control's too, are the card's: only kernels may follow them.
#pragma once

#include <cstddef>
#include <vector>

#include "model/program/control_block.h"
#include "model/program/program.h"

namespace stepscope {

struct OperationBinding {
  const Program* program = nullptr;
  const Operation* operation = nullptr;
  std::vector<std::byte*> ins =
      {};  // first element of the operand's view; a view's micro_stride is left to the operation
  std::vector<std::byte*> outs = {};  // whole values
  std::vector<std::byte*> writes = {};  // whole states; of one in host memory the output that it goes out by
  std::vector<std::byte*> held = {};  // what those states hold before, where that is in another place: else empty
  std::byte* workspace = nullptr;  // operation->workspace_bytes, 256-byte aligned, content undefined
  ControlBlock* control = nullptr;

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
  template <class T>
  [[nodiscard]] const T* before_write(int i) const {
    return reinterpret_cast<const T*>((held.empty() ? writes : held)[static_cast<std::size_t>(i)]);
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

// Whether write i adds to what the state holds, in the first micro-step or a later one.
[[nodiscard]] constexpr bool adds(Accumulate accumulate, bool first_micro_step) {
  return accumulate == Accumulate::always || (accumulate == Accumulate::after_first && !first_micro_step);
}
[[nodiscard]] inline bool adds(Accumulate accumulate, const ControlBlock& control) {
  return adds(accumulate, control.micro_step == 0);
}

}  // namespace stepscope
