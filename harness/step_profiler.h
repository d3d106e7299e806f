// Steps with somebody looking on, as well as the device lets them be seen: a card tells of its own work through CUPTI, in graphs as they
// are launched; where it does not, and on a CPU, the host's clock times each operation.
//     StepProfiler profiler(machine);                        // before the session, so that its allocations are seen
//     Session session(...);  ... steps that warm up ...
//     if (profiler.prepare(session, 3)) ... a step that does not count ...
//     profiler.begin(session);  ... three steps ...  const Trace trace = profiler.finish(session);
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/session.h"
#include "profiles/capture/capture.h"
#include "profiles/cpu_spans.h"
#include "profiles/device_trace.h"
#include "profiles/trace_model.h"

namespace stepscope {

class StepProfiler {
 public:
  explicit StepProfiler(const Machine& machine);
  explicit StepProfiler(std::unique_ptr<Capture> capture);  // another one than the machine's

  // For so many steps; `beside` looks on too. Once. True: graphs were recorded anew, and a step that does not count should come first.
  bool prepare(Session& session, int steps, Observer* beside = nullptr);
  void begin(Session& session);
  [[nodiscard]] Trace finish(Session& session);

  [[nodiscard]] const std::string& method() const { return method_; }  // for people; whole after prepare()
  [[nodiscard]] const std::vector<DeviceAllocation>& allocations() const {
    return allocations_;
  }  // by time, after finish()
  [[nodiscard]] std::int64_t device_bytes() const {
    return device_bytes_;
  }  // of the card, that it took between prepare() and begin()

 private:
  std::unique_ptr<Capture> capture_;
  std::string method_;
  std::optional<CpuSpans> spans_;
  std::optional<DeviceIssues> issues_;
  std::optional<ObserverPair> pair_;
  Observer* observer_ = nullptr;
  std::vector<DeviceAllocation> allocations_;
  std::int64_t device_bytes_ = 0;
};

}  // namespace stepscope
