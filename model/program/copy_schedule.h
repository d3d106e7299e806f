// How early copies between memories begin, and where they are awaited: beside other work, as far from it as it takes to hide them.
//     schedule_copies(program, times, {.bandwidth = card.host_bandwidth});       // after lowering, before planning
//     copy_waits(program, times, card.host_bandwidth)[i]                         // ns that the step stands still for copy i
// One queue a direction, first in, first out, as a link that carries both at once. A copy to the host begins behind the operation
// that makes its operand and is awaited once the queue has carried it; one from the host begins as late as still brings it in
// time. At most `in_flight` of them a direction are on their way or not yet read, those of one operation counted as one: the
// fewest that hide all copies; where the link cannot keep up, the number that waits least among those that need at most a tenth
// more bytes on the device than the fewest.
#pragma once

#include <optional>

#include "model/program/cost.h"

namespace stepscope {

struct HostLink {
  double bandwidth = 0;  // bytes/s in one direction; 0: not known, then two are in flight
  std::optional<int> in_flight = {};  // none: chosen; 0: nothing runs beside a copy
};

// times: ns of every operation, those of copies are not looked at. Reorders copies from the host alone.
void schedule_copies(Program& program, const OperationTimes& times, const HostLink& link);

// By operation: 0 but for copies. Of one run of each section.
[[nodiscard]] OperationTimes copy_waits(const Program& program, const OperationTimes& times, double bandwidth);

// Sets the times of copies to their waits; where the bandwidth is not known it leaves them.
void add_copy_waits(const Program& program, double bandwidth, OperationTimes& times);

// Of one optimizer step.
struct CopyTraffic {
  std::int64_t to_host_bytes = 0, from_host_bytes = 0;
};
[[nodiscard]] CopyTraffic copy_traffic(const Program& program);
[[nodiscard]] double copy_wait_ns(const Program& program,
                                  const OperationTimes& times);  // of times that hold the waits of copies

}  // namespace stepscope
