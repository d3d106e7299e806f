// A step as a trace file for other people's viewers: ui.perfetto.dev, chrome://tracing, HolisticTraceAnalysis.
//     write_trace("trace.json.gz", program, plan, spans.trace(), {.cell = id, .device = machine.name, .times = "measured"});
// Chrome's trace event format, gzipped. Tracks: steps with their micro-steps, phases, layers, operations; a counter "memory" with
// the bytes of each category while an operation runs, which sum to states and arena; of a card its streams and the calls to it
// (profiles/perfetto_device.h), whose kernels' times then are the operations'. Times are microseconds with three decimals:
// to the nanosecond what the trace holds, so sums over operations are those of profiles/attribution.
// Source of the format: "Trace Event Format" of the Chromium project; of the names: what HolisticTraceAnalysis 0.5 looks for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "model/program/memory_plan.h"
#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

struct TraceDescription {
  std::string cell = {};
  std::string device = {};
  std::string times = {};  // where they are from: "measured", "planned: ..."
  std::int64_t first_step = 1;  // the number of the trace's first step
};

[[nodiscard]] std::string trace_json(const Program& program, const MemoryPlan& plan, const Trace& trace,
                                     const TraceDescription& description);

// Atomically; MachineError where it cannot be written.
void write_trace(const std::filesystem::path& file, const Program& program, const MemoryPlan& plan, const Trace& trace,
                 const TraceDescription& description);

}  // namespace stepscope
