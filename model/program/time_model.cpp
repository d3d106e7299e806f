#include "model/program/time_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>

#include "model/base/hash.h"
#include "model/program/copy_schedule.h"

namespace stepscope {

namespace {

constexpr std::string_view tf32_name = "tf32";

// Which micro-step the bytes are of: as in roofline_times.
int usual_micro_step(const Program& program) { return program.micro_steps > 1 ? 1 : 0; }

std::int64_t bytes_of(const OperationCost& cost) { return cost.read_bytes + cost.written_bytes; }

bool rounds_to_tf32(const Program& program, const Operation& op) {
  return program.tf32 && op.kind->flops != nullptr && !op.ins.empty() && program.type(op.ins[0]).dtype == DType::fp32;
}

std::string operands_of(const Program& program, const Operation& op) {
  std::string text;
  const auto add = [&](std::string_view type, const Shape& shape) {
    if (!text.empty()) text += ' ';
    text.append(type).append(to_string(shape));
  };
  for (const Operand& in : op.ins) {
    const bool tf32 = rounds_to_tf32(program, op) && program.type(in).dtype == DType::fp32;
    add(tf32 ? tf32_name : name_of(program.type(in).dtype), in.view.shape);
  }
  text += text.empty() ? ">" : " >";
  for (const ValueId out : op.outs) add(name_of(program.value(out).type.dtype), program.value(out).type.shape);
  for (const Write& write : op.writes)
    add(name_of(program.state(write.state).type.dtype), program.state(write.state).type.shape);
  if (op.attributes.heads > 0) text += "[" + std::to_string(op.attributes.heads) + " heads]";
  if (op.attributes.rate > 0) text += " dropout";
  if (!op.attributes.algorithm.empty()) text += " by " + op.attributes.algorithm;
  return text;
}

// Operations of equal digest do the same work within one program; made without texts, since layers repeat.
std::uint64_t digest_of(const Program& program, const Operation& op, const OperationCost& cost) {
  Hash hash;
  const auto add = [&](DType dtype, const Shape& shape) {
    hash.add(static_cast<std::uint64_t>(dtype));
    for (int axis = 0; axis < shape.rank(); ++axis) hash.add(static_cast<std::uint64_t>(shape[axis]));
  };
  hash.add(op.kind->name).add(static_cast<std::uint64_t>(op.phase));
  for (const Operand& in : op.ins) add(program.type(in).dtype, in.view.shape);
  hash.add(op.outs.size());
  for (const ValueId out : op.outs) add(program.value(out).type.dtype, program.value(out).type.shape);
  for (const Write& write : op.writes)
    add(program.state(write.state).type.dtype, program.state(write.state).type.shape);
  hash.add(static_cast<std::uint64_t>(op.attributes.heads))
      .add(op.attributes.rate > 0 ? 1U : 0U)
      .add(op.attributes.algorithm);
  return hash.add(static_cast<std::uint64_t>(cost.causal_flops))
      .add(static_cast<std::uint64_t>(bytes_of(cost)))
      .value();
}

OperationWork work_of(const Program& program, const Operation& op, const OperationCost& cost) {
  return {.operation = std::string(op.kind->name),
          .operands = operands_of(program, op),
          .phase = std::string(name_of(op.phase)),
          .flops = cost.causal_flops,
          .bytes = bytes_of(cost)};
}

double peak_for(const Card& ceilings, std::string_view operands) {
  const std::string_view first = operands.substr(0, operands.find_first_of("[ "));
  if (first == tf32_name) return ceilings.tf32_flops;
  return peak_of(ceilings, dtype_named(first).value_or(DType::fp32));
}

// Between the nearest smaller and the nearest larger of those that match; beyond them the last one's.
template <class Matches>
std::optional<double> efficiency_near(const TimeModel& model, double floor, const Matches& matches) {
  const MeasuredOperation *below = nullptr, *above = nullptr;
  for (const MeasuredOperation& one : model.operations) {
    if (!(one.floor_ns > 0) || !matches(one.work)) continue;
    if (one.floor_ns <= floor) {
      if (below == nullptr || one.floor_ns > below->floor_ns) below = &one;
    } else if (above == nullptr || one.floor_ns < above->floor_ns) {
      above = &one;
    }
  }
  if (below == nullptr && above == nullptr) return std::nullopt;
  if (below == nullptr || above == nullptr) return (below != nullptr ? below : above)->efficiency();
  const double share = std::log(floor / below->floor_ns) / std::log(above->floor_ns / below->floor_ns);
  return std::exp((1 - share) * std::log(below->efficiency()) + share * std::log(above->efficiency()));
}

double efficiency_of_everything(const TimeModel& model) {
  double floor = 0, time = 0;
  for (const MeasuredOperation& one : model.operations) {
    floor += static_cast<double>(one.runs) * one.floor_ns;
    time += static_cast<double>(one.runs) * one.time_ns;
  }
  return floor > 0 && time > 0 ? floor / time : 1;
}

PredictedRun by_efficiency(const TimeModel& model, const OperationWork& work) {
  const double floor = floor_ns(model.ceilings, work);
  const std::string types = types_of(work.operands);
  const auto same_kind = [&](const OperationWork& other) { return other.operation == work.operation; };
  const auto same_types = [&](const OperationWork& other) {
    return same_kind(other) && types_of(other.operands) == types;
  };
  const auto same_phase = [&](const OperationWork& other) { return other.phase == work.phase && same_types(other); };
  if (const auto found = efficiency_near(model, floor, same_phase)) return {floor / *found, Basis::types_and_phase};
  if (const auto found = efficiency_near(model, floor, same_types)) return {floor / *found, Basis::types};
  if (const auto found = efficiency_near(model, floor, same_kind)) return {floor / *found, Basis::kind};
  return {floor / efficiency_of_everything(model), Basis::everything};
}

}  // namespace

OperationWork work_of(const Program& program, const Operation& operation) {
  return work_of(program, operation, cost_of(program, operation, usual_micro_step(program)));
}

std::string types_of(std::string_view operands) {
  std::string types;
  int depth = 0;
  for (const char c : operands) {
    if (c == '[') ++depth;
    if (depth == 0) types += c;
    if (c == ']') --depth;
  }
  return types;
}

double floor_ns(const Card& ceilings, const OperationWork& work) {
  const double peak = peak_for(ceilings, work.operands);
  const double compute_ns = peak > 0 ? 1e9 * static_cast<double>(work.flops) / peak : 0;
  return std::max(compute_ns, memory_floor_ns(ceilings, static_cast<double>(work.bytes)));
}

std::vector<TimedWork> counted_work(const Program& program) {
  std::vector<TimedWork> rows;
  std::unordered_map<std::uint64_t, std::size_t> known;
  for (const Operation& op : program.operations) {
    const OperationCost cost = cost_of(program, op, usual_micro_step(program));
    const auto [place, fresh] = known.try_emplace(digest_of(program, op, cost), rows.size());
    if (fresh) rows.push_back({.work = work_of(program, op, cost)});
    rows[place->second].count += op.section == Section::micro ? program.micro_steps : 1;
  }
  return rows;
}

PredictedRun predicted_run(const TimeModel& model, const OperationWork& work) {
  if (model.operations.empty()) return {floor_ns(model.ceilings, work), Basis::roofline};
  const MeasuredOperation* alike = nullptr;
  for (const MeasuredOperation& one : model.operations) {
    if (one.work.operation != work.operation || one.work.operands != work.operands || one.work.flops != work.flops ||
        one.work.bytes != work.bytes)
      continue;
    if (one.work.phase == work.phase) return {one.time_ns, Basis::same_work};
    if (alike == nullptr) alike = &one;
  }
  return alike != nullptr ? PredictedRun{alike->time_ns, Basis::same_operands} : by_efficiency(model, work);
}

OperationTimes calibrated_times(const Program& program, const TimeModel& model) {
  if (model.operations.empty()) return roofline_times(program, model.ceilings);
  OperationTimes times;
  times.reserve(program.operations.size());
  std::unordered_map<std::uint64_t, double> known;
  for (const Operation& op : program.operations) {
    const OperationCost cost = cost_of(program, op, usual_micro_step(program));
    const auto [place, fresh] = known.try_emplace(digest_of(program, op, cost), 0.0);
    if (fresh) place->second = predicted_run(model, work_of(program, op, cost)).time_ns;
    times.push_back(place->second);
  }
  add_copy_waits(program, model.ceilings.host_bandwidth, times);
  return times;
}

PredictedStep predicted_step(const TimeModel& model, const std::vector<TimedWork>& work) {
  double all = 0, measured = 0;
  for (const TimedWork& row : work) {
    const PredictedRun run = predicted_run(model, row.work);
    const double time = static_cast<double>(row.count) * run.time_ns;
    all += time;
    if (run.basis <= Basis::same_operands) measured += time;
  }
  return {.time_ns = all + model.between_ns, .measured_share = all > 0 ? measured / all : 0};
}

}  // namespace stepscope
