#include "harness/step_profiler.h"

#include <utility>

namespace stepscope {

namespace {

constexpr const char* by_host = "host clock";

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
  if (issues_) session.observe(observer_);
  return issues_.has_value();
}

void StepProfiler::begin(Session& session) {
  if (issues_) return issues_->count_steps();
  session.observe(observer_);
}

Trace StepProfiler::finish(Session& session) {
  session.observe(nullptr);
  if (spans_) return spans_->trace();
  DeviceActivity activity = capture_->stop([&] { session.executor().synchronise(); });
  allocations_ = std::exchange(activity.allocations, {});
  return device_trace(session.program(), issues_->steps(), std::move(activity));
}

}  // namespace stepscope
