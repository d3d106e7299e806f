// How long operations take by what was measured of them: the mean run of the same operation, else the efficiency of the most alike.
//     const OperationTimes times = calibrated_times(program, model);      // as roofline_times(program, card), and as cheap to use
//     const PredictedStep step = predicted_step(model, counted_work(program));
// A model of ceilings alone is their card's roofline. ns. Efficiency: roofline time by time. For an operation the first of these that
// was measured decides: (1) the same work; (2) the same operands in another phase; then the efficiency between the two nearest sizes
// (by roofline time, on logarithms) of (3) its kind, phase and types; (4) its kind and types; (5) its kind; (6) of everything, one.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/program/cost.h"

namespace stepscope {

struct OperationWork {  // what two operations that take as long have in common
  std::string operation = {};  // its kind
  std::string operands = {};  // types and shapes: "bf16[1024,256] bf16[256,512] > bf16[1024,512]"
  std::string phase = {};
  std::int64_t flops = 0, bytes = 0;  // of a run after the first micro-step
  auto operator<=>(const OperationWork&) const = default;
};
[[nodiscard]] OperationWork work_of(const Program& program, const Operation& operation);
[[nodiscard]] std::string types_of(std::string_view operands);  // "bf16 bf16 > bf16"
[[nodiscard]] double floor_ns(const Card& ceilings, const OperationWork& work);  // what roofline_times says of it

struct TimedWork {  // all runs of one work, of one optimizer step
  OperationWork work = {};
  std::int64_t count = 0;
  double time_ns = 0;
};
// What a step consists of, in the order of first appearance; no times.
[[nodiscard]] std::vector<TimedWork> counted_work(const Program& program);

struct MeasuredOperation {
  OperationWork work = {};
  double time_ns = 0;  // a run
  double floor_ns = 0;  // a run
  std::int64_t runs = 0;  // in a step of each of the cells together
  int cells = 0;  // that ran it
  int source = 0;  // which of the model's records
  [[nodiscard]] double efficiency() const { return floor_ns / time_ns; }
};

struct TimeModel {
  Card ceilings = {};
  std::vector<MeasuredOperation> operations = {};  // each work once
  double between_ns = 0;  // of a step, whatever its operations: what lies between them
};

enum class Basis : std::uint8_t { same_work, same_operands, types_and_phase, types, kind, everything, roofline };
struct PredictedRun {
  double time_ns = 0;
  Basis basis = Basis::roofline;
};
[[nodiscard]] PredictedRun predicted_run(const TimeModel& model, const OperationWork& work);

[[nodiscard]] OperationTimes calibrated_times(const Program& program, const TimeModel& model);

struct PredictedStep {
  double time_ns = 0;  // with what lies between operations
  double measured_share = 0;  // of the operations' time: the same operands were measured
};
[[nodiscard]] PredictedStep predicted_step(const TimeModel& model, const std::vector<TimedWork>& work);

}  // namespace stepscope
