#include "model/program/cost.h"

#include <algorithm>

namespace stepscope {

namespace {

std::int64_t repeats(const Program& program, const Operation& operation) {
  return operation.section == Section::micro ? program.micro_steps : 1;
}

double peak_of(const Card& card, DType dtype) {
  switch (dtype) {
    case DType::bf16: return card.bf16_flops;
    case DType::fp16: return card.fp16_flops;
    default: return card.fp32_flops;
  }
}

}  // namespace

OperationCost cost_of(const Program& program, const Operation& operation) {
  OperationCost cost;
  if (operation.kind->flops != nullptr) {
    cost.flops = operation.kind->flops(program, operation, false);
    cost.causal_flops = operation.kind->flops(program, operation, true);
  }
  for (const Operand& in : operation.ins)
    cost.read_bytes += in.view.shape.elements() * size_bytes(program.type(in).dtype);
  for (const ValueId out : operation.outs) cost.written_bytes += program.value(out).type.size_bytes();
  for (const Write& write : operation.writes) {
    const std::int64_t bytes = program.state(write.state).type.size_bytes();
    cost.written_bytes += bytes;
    if (write.accumulate != Accumulate::no || operation.section == Section::update) cost.read_bytes += bytes;
  }
  return cost;
}

StepFlops step_flops(const Program& program) {
  StepFlops sum;
  for (const Operation& op : program.operations) {
    const std::int64_t flops = cost_of(program, op).causal_flops * repeats(program, op);
    sum.launched += flops;
    if (op.phase == Phase::recompute) sum.recomputed += flops;
    if (op.phase == Phase::forward) sum.model += 3 * flops;  // backward multiplies twice where forward does once
  }
  return sum;
}

OperationTimes roofline_times(const Program& program, const Card& card) {
  OperationTimes times;
  times.reserve(program.operations.size());
  for (const Operation& op : program.operations) {
    const OperationCost cost = cost_of(program, op);
    const DType multiplied = op.ins.empty() ? DType::fp32 : program.type(op.ins.front()).dtype;
    const double peak = peak_of(card, multiplied);
    const double compute_s = peak > 0 ? static_cast<double>(cost.causal_flops) / peak : 0;
    const double memory_s =
        card.bandwidth > 0 ? static_cast<double>(cost.read_bytes + cost.written_bytes) / card.bandwidth : 0;
    times.push_back(1e9 * std::max(compute_s, memory_s));
  }
  return times;
}

double step_time_ns(const Program& program, const OperationTimes& times) {
  double sum = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    sum += times[i] * static_cast<double>(repeats(program, program.operations[i]));
  return sum;
}

}  // namespace stepscope
