// What a card's trace says beside the time of operations: every kernel with its place, and what of the card's time has no operation.
//     for (const KernelTime& row : kernel_times(program, trace)) ...      const DeviceAccount account = account_of(trace);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

struct KernelTime {  // all runs of one kernel, copy or set at one place
  std::string name;
  std::string phase, site, operation;  // as in AttributedTime; phase "outside" for what belongs to no step
  double count = 0;  // runs a step; outside: of the whole trace, as is its time
  double time_ns = 0;
  std::optional<double> flops, bytes;  // a step's; of a kernel the operation's, where it is the only one there
};
[[nodiscard]] std::vector<KernelTime> kernel_times(const Program& program, const Trace& trace);  // longest first

struct NamedTime {
  std::string name;
  std::int64_t count = 0;  // in the whole trace
  std::int64_t time_ns = 0;
};

struct DeviceAccount {
  std::int64_t device_ns = 0;  // the card's work of steps, and of unknown owners: kernels, copies and sets
  std::int64_t operations_ns = 0;  // of it what belongs to an operation
  std::vector<NamedTime> remainders;  // the rest of it, longest first
  std::vector<NamedTime> outside;  // of no step: warming up, between steps
  std::vector<NamedTime> overheads;  // host time of profiler and driver
};
[[nodiscard]] DeviceAccount account_of(const Trace& trace);

}  // namespace stepscope
