#include "model/program/cost.h"

#include <algorithm>
#include <limits>

#include "model/program/copy_schedule.h"

namespace stepscope {

namespace {

std::int64_t repeats(const Program& program, const Operation& operation) {
  return operation.section == Section::micro ? program.micro_steps : 1;
}

// Of a table whose rows are looked up no more moves than the rows.
std::int64_t most_elements(const Program& program, const Operation& operation) {
  if (!operation.kind->by_rows) return std::numeric_limits<std::int64_t>::max();
  return operation.outs.empty() ? operation.ins.front().view.shape.elements()
                                : program.value(operation.outs.front()).type.shape.elements();
}

}  // namespace

double peak_of(const Card& card, DType multiplied) {
  switch (multiplied) {
    case DType::bf16: return card.bf16_flops;
    case DType::fp16: return card.fp16_flops;
    default: return card.fp32_flops;
  }
}

bool multiplies(const Machine& machine, DType dtype) {
  if (dtype == DType::bf16) return machine.native_bf16;
  return dtype != DType::fp16 || machine.native_fp16;
}

double memory_floor_ns(const Card& card, double bytes) {
  if (card.levels.empty()) return card.bandwidth > 0 ? 1e9 * bytes / card.bandwidth : 0;
  double floor_s = bytes / card.levels.front().bandwidth;
  for (const BandwidthLevel& level : card.levels)
    floor_s = std::max(floor_s, (bytes - static_cast<double>(level.bytes)) / level.bandwidth);
  return 1e9 * floor_s;
}

OperationCost cost_of(const Program& program, const Operation& operation, int micro_step) {
  OperationCost cost;
  const std::int64_t most = most_elements(program, operation);
  if (operation.kind->flops != nullptr) {
    cost.flops = operation.kind->flops(program, operation, false);
    cost.causal_flops = operation.kind->flops(program, operation, true);
  }
  for (const Operand& in : operation.ins)
    cost.read_bytes += std::min(in.view.shape.elements(), most) * size_bytes(program.type(in).dtype);
  for (const ValueId out : operation.outs) cost.written_bytes += program.value(out).type.size_bytes();
  for (const Write& write : operation.writes) {
    if (write.is_staged()) continue;  // an operand and an output already
    const TensorType& type = program.state(write.state).type;
    const bool adds =
        write.accumulate == Accumulate::always || (write.accumulate == Accumulate::after_first && micro_step > 0);
    const std::int64_t bytes =
        std::min(type.shape.elements(), adds ? most : type.shape.elements()) * size_bytes(type.dtype);
    cost.written_bytes += bytes;
    if (adds || operation.section == Section::update) cost.read_bytes += bytes;
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

double roofline_ns(const Program& program, const Operation& op, const Card& card, int micro_step) {
  const OperationCost cost = cost_of(program, op, micro_step);
  const DType multiplied = op.ins.empty() ? DType::fp32 : program.type(op.ins.front()).dtype;
  const double peak = program.tf32 && multiplied == DType::fp32 ? card.tf32_flops : peak_of(card, multiplied);
  const double compute_ns = peak > 0 ? 1e9 * static_cast<double>(cost.causal_flops) / peak : 0;
  return std::max(compute_ns, memory_floor_ns(card, static_cast<double>(cost.read_bytes + cost.written_bytes)));
}

OperationTimes roofline_times(const Program& program, const Card& card) {
  OperationTimes times;
  times.reserve(program.operations.size());
  for (const Operation& op : program.operations)
    times.push_back(op.kind->copies && card.host_bandwidth > 0
                        ? 0
                        : roofline_ns(program, op, card, program.micro_steps > 1 ? 1 : 0));
  add_copy_waits(program, card.host_bandwidth, times);
  return times;
}

double step_time_ns(const Program& program, const OperationTimes& times) {
  double sum = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    sum += times[i] * static_cast<double>(repeats(program, program.operations[i]));
  return sum;
}

}  // namespace stepscope
