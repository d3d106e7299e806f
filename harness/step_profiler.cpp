#include "harness/step_profiler.h"

#include <algorithm>
#include <utility>

namespace stepscope {

namespace {

constexpr const char* by_host = "host clock";

std::int64_t taken_bytes(const Session& session) { return session.executor().device_reports_bytes().value_or(0); }

}  // namespace

StepProfiler::StepProfiler(const Machine& machine) : method_(by_host) {
  if (!machine.has_kernels) return;
  CaptureStart start = start_capture();
  capture_ = std::move(start.capture);
  method_ = capture_ != nullptr ? "CUPTI" : method_ + ", each operation waited for; " + start.refusal;
  if (capture_ != nullptr) capture_->push(packed({.set_up = true}));
}

StepProfiler::StepProfiler(std::unique_ptr<Capture> capture) : capture_(std::move(capture)), method_("CUPTI") {
  capture_->push(packed({.set_up = true}));
}

bool StepProfiler::prepare(Session& session, int steps, Observer* beside) {
  if (capture_ != nullptr) {
    capture_->pop();
    device_bytes_ = -taken_bytes(session);
    if (const std::string refusal = capture_->trace_work(); !refusal.empty()) {
      method_ = std::string(by_host) + ", each operation waited for; " + refusal;
      capture_.reset();
    }
  }
  Observer* observer = nullptr;
  if (capture_ != nullptr) {
    observer = &issues_.emplace(*capture_, session.executor(), steps);
  } else {
    observer = &spans_.emplace(session.program(), session.executor(), steps);
  }
  observer_ = beside != nullptr ? &pair_.emplace(*beside, *observer) : observer;
  if (!issues_) return false;
  session.observe(observer_);
  return true;
}

void StepProfiler::begin(Session& session) {
  if (!issues_) return session.observe(observer_);
  device_bytes_ += taken_bytes(session);
  issues_->count_steps();
}

Trace StepProfiler::finish(Session& session) {
  session.observe(nullptr);
  if (spans_) return spans_->trace();
  DeviceActivity activity = capture_->stop([&] { session.executor().synchronise(); });
  allocations_ = std::exchange(activity.allocations, {});
  std::stable_sort(allocations_.begin(), allocations_.end(),
                   [](const DeviceAllocation& a, const DeviceAllocation& b) { return a.at_ns < b.at_ns; });
  if (activity.work.empty()) method_ += ", which told of no work";
  return device_trace(session.program(), issues_->steps(), std::move(activity));
}

}  // namespace stepscope
