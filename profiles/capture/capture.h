// A card's own account of what it does, from the driver's profiler (CUPTI). One a process: CUPTI's second session correlates wrongly.
//     CaptureStart started = start_capture();                      // before anything is allocated that shall be seen
//     if (started.capture == nullptr) ... started.refusal ...      // goes on without
//     const std::string refusal = started.capture->trace_work();   // before the graphs are made that shall be seen
//     DeviceIssues issues(*started.capture, executor, steps);  session.observe(&issues);  ... steps ...
//     const DeviceActivity activity = started.capture->stop([&] { executor.synchronise(); });
// Tests have one of their own that is fed (tests/support/fake_capture.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "profiles/device_activity.h"

namespace stepscope {

class Capture {
 public:
  virtual ~Capture() = default;

  // What this thread issues from now on belongs to that packed WorkOwner, until pop(); the innermost counts.
  virtual void push(std::uint64_t owner) = 0;
  virtual void pop() = 0;
  // Until then only allocations are seen. "", or why the profiler refuses.
  [[nodiscard]] virtual std::string trace_work() = 0;
  // `wait` returns when the card has done all that was issued; then everything is handed over. Once; later it is empty.
  [[nodiscard]] virtual DeviceActivity stop(const std::function<void()>& wait) = 0;
};

struct CaptureStart {
  std::unique_ptr<Capture> capture;  // null: none here
  std::string refusal;  // why: "external profiler: ...", "CUPTI cannot be loaded: ..."
};

[[nodiscard]] CaptureStart start_capture();

}  // namespace stepscope
