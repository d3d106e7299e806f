// Single operations with memory of their own, for the speed tests, and the floor that memory-bound ones are compared with.
//     OperationBench bench(threads);
//     const Operand x = bench.value({DType::bf16, {rows, H}});
//     const auto outs = bench.add(layer_norm_kind, {.epsilon = 1e-6}, {x, scale, bias});      // operations in order: 0, 1 ...
//     for (auto _ : state) bench.run(0);
#pragma once

#include <benchmark/benchmark.h>

#include <cstring>
#include <deque>
#include <vector>

#include "model/base/half.h"
#include "model/cpu/machine.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/list.h"
#include "model/program/builder.h"

namespace stepscope {

class OperationBench {
 public:
  explicit OperationBench(int threads) : threads_(threads), machine_(this_cpu(threads)) {}

  Operand value(const TensorType& type) {
    program_.values.push_back({"", type, {}, Role::activation});
    values_.push_back(memory(type));
    return whole(program_, ValueId{static_cast<int>(program_.values.size()) - 1});
  }
  StateId state(const TensorType& type, StateKind kind) {
    program_.states.push_back({"", type, kind, {}, {}, {}});
    states_.push_back(memory(type));
    return {static_cast<int>(program_.states.size()) - 1};
  }
  Operand operand(StateId id) const { return whole(program_, id); }

  std::vector<Operand> add(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
                           std::vector<Write> writes = {}) {
    Operation& op = operations_.emplace_back();
    op.kind = &kind;
    op.attributes = attributes;
    op.ins = std::move(ins);
    op.writes = std::move(writes);
    std::vector<Operand> outs;
    for (const Output& output : kind.outputs(program_, op)) outs.push_back(value(output.type));
    for (const Operand& out : outs) op.outs.push_back(out.value());
    runs_.push_back(bind(op));
    return outs;
  }
  void run(std::size_t operation) {
    runs_[operation]();
    benchmark::ClobberMemory();
  }

  // A copy that reads bytes / 2 and writes bytes / 2, cut as elementwise operations are.
  void copy(std::int64_t bytes) {
    copy_.resize(static_cast<std::size_t>(bytes), std::byte{1});
    const Chunks chunks{bytes / 2, elements_per_task * 4};
    threads_.parallel_for(chunks.count(), [&](std::int64_t chunk) {
      const std::int64_t at = chunks.begin(chunk);
      std::memcpy(copy_.data() + at, copy_.data() + bytes / 2 + at, static_cast<std::size_t>(chunks.length(chunk)));
    });
    benchmark::ClobberMemory();
  }

  ControlBlock control;

 private:
  static constexpr std::size_t alignment = 256;
  std::byte* memory(const TensorType& type) {  // numbers of order one
    std::vector<std::byte>& block = blocks_.emplace_back(static_cast<std::size_t>(type.size_bytes()) + alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(block.data());
    std::byte* first =
        block.data() + (round_up(static_cast<std::int64_t>(address), alignment) - static_cast<std::int64_t>(address));
    const std::int64_t n = type.shape.elements();
    if (type.dtype != DType::int32 && type.dtype != DType::u8)
      dispatch(type.dtype, [&]<class T>() {
        T* x = reinterpret_cast<T*>(first);
        for (std::int64_t i = 0; i < n; ++i) x[i] = store<T>(static_cast<Accumulator<T>>(i * 7919 % 1024) / 256 - 1.5f);
      });
    return first;
  }
  std::byte* address_of(const Operand& operand) const {
    const std::int64_t offset = operand.view.offset * size_bytes(program_.type(operand).dtype);
    return (operand.is_value() ? values_ : states_)[static_cast<std::size_t>(operand.index)] + offset;
  }
  CpuRun bind(Operation& op) {
    const CpuOperation& cpu = row_of(*op.kind).cpu;
    op.workspace_bytes = cpu.workspace_bytes == nullptr ? 0 : cpu.workspace_bytes(program_, op, machine_);
    CpuBinding binding;
    binding.program = &program_;
    binding.operation = &op;
    for (const Operand& in : op.ins) binding.ins.push_back(address_of(in));
    for (const ValueId out : op.outs) binding.outs.push_back(values_[static_cast<std::size_t>(out.index)]);
    for (const Write& write : op.writes) binding.writes.push_back(states_[static_cast<std::size_t>(write.state.index)]);
    binding.workspace = memory({DType::u8, {op.workspace_bytes}});
    binding.control = &control;
    binding.threads = &threads_;
    binding.machine = &machine_;
    return cpu.bind(binding);
  }

  Threads threads_;
  Machine machine_;
  Program program_;
  std::deque<Operation> operations_;
  std::deque<std::vector<std::byte>> blocks_;
  std::vector<std::byte*> values_, states_;
  std::vector<std::byte> copy_;
  std::vector<CpuRun> runs_;
};

}  // namespace stepscope
