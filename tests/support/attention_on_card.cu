#include "tests/support/attention_on_card.cuh"

#include <gtest/gtest.h>

#include <cmath>

#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_flash_cuda.cuh"
#include "model/operations/cuda_workspace.h"
#include "tests/support/card_beside.cuh"

namespace stepscope::testing {

void expect_within(const char* what, const std::vector<double>& got, const std::vector<Bounded>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(got[i] == expected[i].value || std::fabs(got[i] - expected[i].value) <= expected[i].bound)
        << what << "[" << i << "] is " << got[i] << ", not " << expected[i].value << " within " << expected[i].bound;
}

void expect_attention_of_plain_loops(const AttentionCase& c) {
  const CaseProgram made = c.make();
  const Program& program = made.program;
  GuardedMachine machine(program);
  for (const auto& [name, numbers] : made.contents) machine.write(program.find_state(name), numbers);
  CardBeside card(false);
  const GuardedMachine::Beside beside = card.beside(c.dtype);
  machine.run_beside(Section::prologue, beside);
  const Operation &forward = operation_of(program, c.kind()), &backward = operation_of(program, c.gradient_kind());
  for (int micro = 0; micro < c.micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run_beside(Section::micro, beside);
    const auto on_card = [&](ValueId value) { return numbers_at(card.bytes(value).data(), program.value(value).type); };
    const PlainAttention plain =
        c.plain(made, micro, machine.read(forward.ins[0].value()), machine.read(backward.ins[0].value()));
    expect_within("o", on_card(forward.outs[0]), plain.o);
    expect_within(c.materialised ? "p" : "lse", on_card(forward.outs[1]), c.materialised ? plain.p : plain.lse);
    expect_within("dqkv", on_card(backward.outs[0]), plain.dqkv);
    if (!c.materialised) expect_within("delta", on_card(backward.outs[1]), plain.delta);
  }
}

AttentionOnCard::AttentionOnCard(const AttentionCase& c, std::int64_t shifted_bytes)
    : case_(c), made_(c.make()), shifted_bytes_(shifted_bytes), control_(sizeof(ControlBlock)) {
  const Program& program = made_.program;
  for (const Value& value : program.values)
    values_.emplace_back(static_cast<std::size_t>(value.type.size_bytes() + shifted_bytes));
  for (const State& state : program.states) {
    states_.emplace_back(static_cast<std::size_t>(std::max<std::int64_t>(state.type.size_bytes(), 1)));
    const auto found = made_.contents.find(state.name);
    const bool counts = state.type.dtype == DType::int32 || state.type.dtype == DType::u8;
    if (found == made_.contents.end() || !counts) continue;  // lengths and masks: the rest are values
    std::vector<std::byte> bytes;
    for (const double x : found->second) {
      const auto number = static_cast<std::int32_t>(x);
      const auto* first = reinterpret_cast<const std::byte*>(&number);
      bytes.insert(bytes.end(), first, first + size_bytes(state.type.dtype));
    }
    STEPSCOPE_CUDA(cudaMemcpy(states_.back().data(), bytes.data(), bytes.size(), cudaMemcpyHostToDevice));
  }
  qkv = made_.contents.at("qkv");
  dout = made_.contents.at("weights0");
}

std::byte* AttentionOnCard::at(ValueId value) const {
  return values_[static_cast<std::size_t>(value.index)].data() + shifted_bytes_;
}

CudaBinding AttentionOnCard::binding_of(const Operation& op) const {
  CudaBinding binding;
  binding.program = &made_.program;
  binding.operation = &op;
  binding.control = reinterpret_cast<ControlBlock*>(control_.data());
  binding.matmuls = const_cast<MatmulLibrary*>(&matmuls_);
  binding.cudnn = const_cast<CudnnLibrary*>(&cudnn_);
  for (const Operand& in : op.ins) {
    std::byte* const first = in.is_value() ? at(in.value()) : states_[static_cast<std::size_t>(in.index)].data();
    binding.ins.push_back(first + in.view.offset * size_bytes(made_.program.type(in).dtype));
  }
  for (const ValueId out : op.outs) binding.outs.push_back(at(out));
  return binding;
}

bool AttentionOnCard::takes_tensor_cores() const {
  const bool forward = takes_flash_attention(binding_of(operation_of(made_.program, attention_kind)), 0),
             backward = takes_flash_attention(binding_of(operation_of(made_.program, attention_gradient_kind)), 1);
  EXPECT_EQ(forward, backward);
  return forward;
}

void AttentionOnCard::put(ValueId value, const std::vector<double>& numbers) const {
  dispatch(made_.program.value(value).type.dtype, [&]<class T>() {
    std::vector<T> held;
    const auto count = static_cast<std::size_t>(made_.program.value(value).type.shape.elements());
    const auto share = static_cast<std::size_t>(micro_step_) * count;
    for (std::size_t i = share; i < share + count; ++i)
      held.push_back(store<T>(static_cast<Accumulator<T>>(numbers.at(i))));
    STEPSCOPE_CUDA(cudaMemcpy(at(value), held.data(), held.size() * sizeof(T), cudaMemcpyHostToDevice));
  });
}

std::vector<double> AttentionOnCard::get(ValueId value) const {
  const TensorType& type = made_.program.value(value).type;
  std::vector<std::byte> bytes(static_cast<std::size_t>(type.size_bytes()));
  STEPSCOPE_CUDA(cudaMemcpy(bytes.data(), at(value), bytes.size(), cudaMemcpyDeviceToHost));
  return numbers_at(bytes.data(), type);
}

void AttentionOnCard::issue(const Operation& op) const {
  Operation lowered = op;
  lowered.workspace_bytes = cuda_workspace_bytes(made_.program, op);
  CudaBinding binding = binding_of(lowered);
  const DeviceMemory workspace(static_cast<std::size_t>(std::max<std::int64_t>(lowered.workspace_bytes, 256)));
  binding.workspace = workspace.data();
  cuda_row_of(*op.kind).bind(binding)({stream_.get(), true});
  stream_.synchronise();
}

void AttentionOnCard::begin(int micro_step) {
  micro_step_ = micro_step;
  const ControlBlock block{.micro_step = micro_step};
  STEPSCOPE_CUDA(cudaMemcpy(control_.data(), &block, sizeof(block), cudaMemcpyHostToDevice));
}

void AttentionOnCard::run_forward(int micro_step) {
  begin(micro_step);
  const Operation& op = operation_of(made_.program, attention_kind);
  put(op.ins[0].value(), qkv);
  issue(op);
  o = get(op.outs[0]);
  lse = get(op.outs[1]);
}

void AttentionOnCard::run(int micro_step) {
  run_forward(micro_step);
  const Operation& op = operation_of(made_.program, attention_gradient_kind);
  put(op.ins[0].value(), dout);
  issue(op);
  dqkv = get(op.outs[0]);
  if (op.outs.size() > 1) delta = get(op.outs[1]);
}

}  // namespace stepscope::testing
