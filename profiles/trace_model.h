// What was seen while steps ran: one span an operation, in the order of execution; where a card told of its own work, also each kernel,
// copy and set with its owner, and the calls that asked for them.
//     CpuSpans spans(program);  executor.observe(&spans);  executor.step(lr);  executor.observe(nullptr);
//     for (const Span& s : spans.trace().spans) ...            // program.operations[s.operation] says what it was
// On a card an operation's span reaches from its first kernel to its last on the stream that computes, of no length where it has none there;
// its time is the sum over `device`. Times are nanoseconds since the trace's first step began.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "profiles/device_activity.h"

namespace stepscope {

struct Span {
  std::int32_t operation = 0;  // index in the program
  std::int32_t micro_step = 0;
  std::int32_t step = 0;  // of the trace, from 0
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

struct StepSpan {
  std::int64_t begin_ns = 0, end_ns = 0;
};

inline constexpr const char* unknown_owner = "unknown";

struct DeviceSpan {
  DeviceWork work = {};
  WorkOwner owner = {};  // of a step, or of none; of an operation, or of what `remainder` names
  std::string remainder = {};
};

struct Trace {
  std::vector<Span> spans = {};
  std::vector<StepSpan> steps = {};
  std::vector<DeviceSpan> device = {};  // by their begin
  std::vector<DeviceCall> calls = {};  // likewise
  std::vector<DeviceOverhead> overheads = {};
  LostActivity lost = {};
  bool of_card = false;  // that told of its work, if only that there was none
};

}  // namespace stepscope
