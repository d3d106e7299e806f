#include "tests/support/naive/naive_operations.h"

#include <cmath>
#include <cstring>

namespace stepscope::testing {

namespace {

// IEEE 754 and bfloat16 by their fields: sign, exponent, fraction.
double decoded_half(std::uint16_t bits, int fraction_bits) {
  const int exponent_bits = 15 - fraction_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1), fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits >> 15 != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return fraction == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

template <class T>
T copied(const std::byte* at) {
  T held;
  std::memcpy(&held, at, sizeof(T));
  return held;
}

double element(const std::byte* memory, DType dtype, std::int64_t index) {
  switch (dtype) {
    case DType::fp64: return copied<double>(memory + 8 * index);
    case DType::fp32: return static_cast<double>(copied<float>(memory + 4 * index));
    case DType::bf16: return decoded_half(copied<std::uint16_t>(memory + 2 * index), 7);
    case DType::fp16: return decoded_half(copied<std::uint16_t>(memory + 2 * index), 10);
    case DType::int32: return copied<std::int32_t>(memory + 4 * index);
    case DType::u8: return copied<std::uint8_t>(memory + index);
  }
  return NAN;
}

// In the order of rows of the view; the operand's memory begins at the view's offset.
NaiveTensor gathered(const std::byte* memory, DType dtype, const View& view, std::int64_t micro_step) {
  NaiveTensor tensor{view.shape, {}};
  const int rank = view.shape.rank();
  std::array<std::int64_t, Shape::max_rank> at{};
  for (std::int64_t n = 0; n < view.shape.elements(); ++n) {
    std::int64_t rest = n, index = micro_step * view.micro_stride;
    for (int axis = rank - 1; axis >= 0; --axis) {
      at[static_cast<std::size_t>(axis)] = rest % view.shape[axis];
      rest /= view.shape[axis];
      index += at[static_cast<std::size_t>(axis)] * view.strides[static_cast<std::size_t>(axis)];
    }
    tensor.numbers.push_back(element(memory, dtype, index));
  }
  return tensor;
}

bool is_control(const Program& program, StateId state) { return state == program.control || state == program.results; }

}  // namespace

std::vector<double> naive_numbers(const std::byte* memory, const TensorType& type) {
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < type.shape.elements(); ++i) numbers.push_back(element(memory, type.dtype, i));
  return numbers;
}

NaiveRun naive_run_of(const OperationBinding& binding) {
  const Program& program = *binding.program;
  const Operation& op = *binding.operation;
  NaiveRun run{.operation = &op, .ins = {}, .outs = {}, .writes = {}, .control = *binding.control};
  for (std::size_t i = 0; i < op.ins.size(); ++i) {
    const Operand& in = op.ins[i];
    const bool control = in.is_state() && is_control(program, in.state());
    run.ins.push_back(control ? NaiveTensor{}
                              : gathered(binding.ins[i], program.type(in).dtype, in.view, run.control.micro_step));
  }
  for (const ValueId out : op.outs) {
    const Shape& shape = program.value(out).type.shape;
    run.outs.push_back({shape, std::vector<double>(static_cast<std::size_t>(shape.elements()), 0.0)});
  }
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    const State& state = program.state(op.writes[w].state);
    run.writes.push_back(is_control(program, op.writes[w].state)
                             ? NaiveTensor{}
                             : NaiveTensor{state.type.shape, naive_numbers(binding.writes[w], state.type)});
  }
  return run;
}

void NaiveRun::join(std::size_t write, const std::vector<double>& gradient) {
  const Accumulate how = operation->writes.at(write).accumulate;
  const bool adds = how == Accumulate::always || (how == Accumulate::after_first && control.micro_step > 0);
  std::vector<double>& state = writes.at(write).numbers;
  for (std::size_t i = 0; i < state.size(); ++i) state[i] = gradient.at(i) + (adds ? state[i] : 0);
}

NaiveMatrix matrix_of(NaiveTensor& tensor) {
  return {&tensor.numbers, static_cast<std::size_t>(tensor.shape.rows()),
          static_cast<std::size_t>(tensor.shape.last())};
}

NaiveTwin naive_twin(std::string_view kind) {
  for (const auto rows : {naive_elements(), naive_norms(), naive_heads(), naive_training()})
    for (const NaiveRow& row : rows)
      if (row.kind == kind) return row.run;
  return nullptr;
}

}  // namespace stepscope::testing
