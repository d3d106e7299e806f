// A card's part of a trace file: a track a stream with its kernels, copies and sets, the host's calls that asked for them with an arrow to the
// first of what each launched, and the host time that profiler and driver took for themselves.
#pragma once

#include <functional>
#include <string>

#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

struct DeviceTracks {
  int host_process = 1, first_host_track = 10;
  std::int64_t shift_ns = 0;  // added to every time
  std::function<void(const std::string& event)> add;
};

// Each kernel, copy and set says whose it is: phase, layer and operation as AttributedTime has them, "between" or "outside" of steps what
// it is instead.
void add_device_tracks(const Program& program, const Trace& trace, const DeviceTracks& tracks);

}  // namespace stepscope
