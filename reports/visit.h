// One visit: one process that measured one cell once, written by it as RUN/cells/ID/visit-K.json before it ends. A visit that failed is
// written by the coordinator with the outcome and the reason. Visits of kind timed run without any profiler; profiled visits give spans
// and memory; learning visits give a loss curve.
//     Visit visit{.cell = id, .round = 1, .kind = VisitKind::timed};   ...   write_visit(folder / "visit-3.json", visit);
// Times are nanoseconds: durations from a steady clock, started and ended since 1970. Sizes are bytes. Spans are per optimizer step.
// Reading throws UsageError as record.h does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/program/time_model.h"
#include "reports/record.h"

namespace stepscope {

inline constexpr std::string_view visit_schema = "stepscope.visit/1";

enum class VisitKind { timed, profiled, learning };
[[nodiscard]] std::string_view name_of(VisitKind kind);
[[nodiscard]] std::optional<VisitKind> visit_kind_named(std::string_view name);

struct GradientSummary {  // one parameter's gradient of step 1, summed over the step's micro-batches
  std::string parameter = {};
  double norm = 0;
  double sum = 0;
  std::string hash = {};  // of all bits, 16 hexadecimal digits; empty where bitwise equality is not claimed
};

struct VisitNumerics {  // of step 1
  std::optional<double> loss = {};
  std::vector<GradientSummary> gradients = {};
  std::optional<double> gradient_error =
      {};  // largest relative error over parameters against the reference, once verified
  std::string arithmetic = "native";  // native | widened
  std::optional<std::string> not_computed = {};  // why there are none
};

struct SpanSum {  // all runs of one operation at one layer site in one phase, summed over a step
  std::string phase = {};  // prologue | forward | recompute | backward | update
  std::string site = {};  // "blocks.0.mlp"
  std::string operation = {};  // "linear"
  std::int64_t count = 0;
  double time_ns = 0;
  std::int64_t flops = 0;
  std::int64_t bytes = 0;
};

struct KernelSum {  // all runs of one kernel, copy or set of a card at one place
  std::string name = {};
  std::string phase = {}, site = {},
              operation = {};  // as a SpanSum's; phase "between" or "outside" of steps: whose it is instead
  double count = 0;  // a step; outside: of all that was looked at, as is its time
  double time_ns = 0;
  std::optional<double> flops = {}, bytes = {};  // a step's, where they are known
};

struct TimeSum {  // of all that was looked at
  std::string name = {};
  std::int64_t count = 0;
  std::int64_t time_ns = 0;
};

struct ProfilerAccount {  // how a profiled visit's times were come by, and what is missing from them
  std::string method = {};  // "host clock", "CUPTI", each with what it had to do without
  std::vector<double> untraced_step_time_ns = {};  // steps of the same visit before and after the profiled ones
  // Of a card: its time in the steps, of it that of operations, the rest by name; what it did outside of steps.
  std::int64_t device_ns = 0, operations_ns = 0;
  std::vector<TimeSum> remainders = {}, outside = {};
  std::vector<TimeSum> overheads = {};  // of the host: the profiler's and the driver's own
  std::int64_t dropped_records = 0, untimed_records = 0, unread_bytes = 0;
  std::vector<std::pair<std::string, std::int64_t>> other_records = {};  // by CUPTI's number of a kind that is not read
};

struct LiveValue {
  std::string name = {}, shape = {}, dtype = {};
  std::string owner = {};  // its layer site
  std::int64_t bytes = 0;
  int born = 0, dies = 0;  // indices of operations, both included
};

struct PhaseStart {
  std::string phase = {};
  int operation = 0;
};

struct MemoryTimeline {  // the plan's arena over one step; state lies beneath it
  std::vector<std::int64_t> live_bytes = {};  // by operation
  std::vector<PhaseStart> phases = {};  // where each phase begins, in order
  int peak_operation = 0;
  std::vector<LiveValue> live_at_peak = {};  // largest first
};

struct LossPoint {
  std::int64_t step = 0;
  std::int64_t tokens_seen = 0;
  std::int64_t elapsed_ns = 0;
  double loss = 0;
};

struct Disturbance {  // what else the machine did meanwhile
  std::optional<double> load_average = {};  // runnable threads, mean of the visit's begin and end
  std::optional<double> steal_fraction = {};  // of processor time, taken by other guests
  bool disturbed = false;
  std::string reason = {};
};

struct Visit {
  std::string cell = {};
  int round = 0;
  VisitKind kind = VisitKind::timed;
  Outcome outcome = Outcome::ok;
  std::string reason = {};
  std::int64_t started_ns = 0, ended_ns = 0;
  int warmup_steps = 0;
  std::vector<double> step_time_ns = {};  // every timed step, in order; in a profiled visit the profiled ones
  std::int64_t predicted_bytes = 0;
  std::optional<std::int64_t> arena_used_bytes = {};  // measured
  NamedBytes used_by_category = {};  // measured; sums to the whole of the visit's bytes
  std::optional<std::int64_t> host_used_bytes = {};  // measured, of a cell that has something in host memory
  std::optional<std::int64_t> device_reports_bytes = {};  // what the system says the process holds
  VisitNumerics numerics = {};
  std::optional<LossScaling> loss_scaling = {};
  std::vector<SpanSum> spans = {};
  std::vector<KernelSum> kernels = {};  // of a card
  std::optional<ProfilerAccount> profiler = {};  // of a profiled visit
  NamedBytes device_memory = {};  // of a card, by who holds it; sums to what the device reports, "residual" last
  std::optional<std::vector<TimedWork>> operations = {};  // the spans by what was done: types and shapes
  std::optional<MemoryTimeline> memory = {};
  std::vector<LossPoint> losses = {}, validation_losses = {};
  Disturbance disturbance = {};
};

[[nodiscard]] nlohmann::ordered_json to_json(const Visit& visit);
[[nodiscard]] Visit visit_from_json(const nlohmann::ordered_json& json, const std::string& file);
[[nodiscard]] Visit read_visit(const std::filesystem::path& file);
void write_visit(const std::filesystem::path& file, const Visit& visit);  // atomically

}  // namespace stepscope
