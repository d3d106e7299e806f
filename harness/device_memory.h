// A card's memory by who holds it, until it is what the card itself reports: no byte is left without a name.
//     visit.device_memory = device_memory(session, machine, profiler, reported_bytes);
#pragma once

#include <cstdint>

#include "harness/session.h"
#include "harness/step_profiler.h"
#include "reports/record.h"

namespace stepscope {

// states, arena and context as planned and found; graphs and profiler by what the card had less after them; libraries by the allocations that
// the profiler saw beside states and arena, absent without one (profiler null, or by the host's clock); residual: what the card reports beside all
// of them, below 0 where it reports less.
[[nodiscard]] NamedBytes device_memory(const Session& session, const Machine& machine, const StepProfiler* profiler,
                                       std::int64_t reported_bytes);

}  // namespace stepscope
