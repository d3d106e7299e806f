// Copies between a machine's memory and the host's. They stand here because differentiation emits the way back.
// copy_to_host      in   x, on the device       out   x in host memory, or writes   a state there
// copy_from_host    in   a value or state in host memory       out   the same on the device
// No bit changes, so state_histories() looks through them. One may run beside the operations behind it: Operation::complete_before.
//     send_to_host(forward, values);        // differentiate() then fetches each where backward first reads it
//     schedule_copies(step, {.times = times, .host_bandwidth = 32e9});     // after lowering: how early, awaited where (copy_schedule.h)
#pragma once

#include <set>

#include "model/program/operation.h"

namespace stepscope {

extern const OperationKind copy_to_host_kind;
extern const OperationKind copy_from_host_kind;

// Appends to a forward program a copy of each of these values to host memory, right behind the operation that makes it. Ids stay.
void send_to_host(Program& forward, const std::set<ValueId>& values);

// The number of bytes that a copy moves over the link, in one direction.
[[nodiscard]] std::int64_t copied_bytes(const Program& program, const Operation& copy);

}  // namespace stepscope
