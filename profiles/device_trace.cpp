#include "profiles/device_trace.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace stepscope {

namespace {

// Finds the owners of an activity's work.
class Owners {
 public:
  Owners(const Program& program, const std::vector<StepSpan>& steps, const DeviceActivity& activity)
      : program_(program), steps_(steps), activity_(activity) {
    for (const DeviceOverhead& overhead : activity.overheads)
      if (overhead.correlation != 0) overheads_[overhead.correlation] = overhead.profiler ? "profiler" : overhead.what;
  }

  [[nodiscard]] DeviceSpan owned(DeviceWork work) const {
    DeviceSpan span{.work = std::move(work)};
    const std::optional<WorkOwner> launch = known(activity_.owner_of_correlation, span.work.correlation);
    if (launch) span.owner = *launch;
    if (span.work.graph_node != 0) {
      const std::optional<WorkOwner> node = known(activity_.owner_of_node, span.work.graph_node);
      span.owner.operation = node ? node->operation : -1;
      if (node && !launch) span.owner.micro_step = node->micro_step;
      if (!node) span.remainder = unknown_owner;
    }
    if (!launch) {
      span.owner.step = step_at(span.work.begin_ns);
      if (span.owner.operation < 0 || span.owner.step < 0) span.remainder = why_unowned(span.work.correlation);
    }
    if (!span.remainder.empty()) {
      span.owner.operation = -1;
    } else if (span.owner.operation < 0) {
      span.remainder = span.owner.step >= 0 ? "step control" : span.owner.set_up ? "warm-up" : "between steps";
    } else if (span.owner.step < 0) {  // an operation that was issued outside of every step
      span.owner.operation = -1;
      span.remainder = "warm-up";
    }
    return span;
  }

 private:
  template <class Map>
  [[nodiscard]] std::optional<WorkOwner> known(const Map& owners, typename Map::key_type key) const {
    const auto place = owners.find(key);
    if (place == owners.end()) return std::nullopt;
    const std::optional<WorkOwner> owner = unpacked(place->second);
    const bool possible = owner && owner->step < std::ssize(steps_) && owner->micro_step < program_.micro_steps &&
                          owner->operation < std::ssize(program_.operations);
    return possible ? owner : std::nullopt;
  }
  [[nodiscard]] std::int32_t step_at(std::int64_t ns) const {
    for (std::size_t s = 0; s < steps_.size(); ++s)
      if (ns >= steps_[s].begin_ns && ns < steps_[s].end_ns) return static_cast<std::int32_t>(s);
    return -1;
  }
  [[nodiscard]] std::string why_unowned(std::uint32_t correlation) const {
    const auto overhead = overheads_.find(correlation);
    return overhead == overheads_.end() ? unknown_owner : overhead->second;
  }

  const Program& program_;
  const std::vector<StepSpan>& steps_;
  const DeviceActivity& activity_;
  std::map<std::uint32_t, std::string> overheads_;
};

void shift(std::int64_t& begin_ns, std::int64_t& end_ns, std::int64_t origin_ns) {
  begin_ns -= origin_ns;
  end_ns -= origin_ns;
}

void widen_steps(Trace& trace) {
  for (const DeviceSpan& span : trace.device) {
    if (span.owner.step < 0) continue;
    StepSpan& step = trace.steps[static_cast<std::size_t>(span.owner.step)];
    step.begin_ns = std::min(step.begin_ns, span.work.begin_ns);
    step.end_ns = std::max(step.end_ns, span.work.end_ns);
  }
}

std::uint32_t computing_stream(const Trace& trace) {
  std::map<std::uint32_t, std::int64_t> kernel_ns;
  for (const DeviceSpan& span : trace.device)
    if (span.owner.operation >= 0 && span.work.kind == WorkKind::kernel)
      kernel_ns[span.work.stream] += span.work.end_ns - span.work.begin_ns + 1;
  const auto most = std::max_element(kernel_ns.begin(), kernel_ns.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == kernel_ns.end() ? 0 : most->first;
}

// In the order of the program, each behind the other: what views nest by.
void add_operation_spans(const Program& program, Trace& trace) {
  const std::uint32_t stream = computing_stream(trace);
  std::map<std::tuple<std::int32_t, std::int32_t, std::int32_t>, StepSpan> seen;  // step, micro-step, operation
  for (const DeviceSpan& span : trace.device) {
    if (span.owner.operation < 0 || span.work.stream != stream) continue;
    const auto [place, fresh] = seen.try_emplace({span.owner.step, span.owner.micro_step, span.owner.operation},
                                                 StepSpan{span.work.begin_ns, span.work.end_ns});
    place->second.end_ns = std::max(place->second.end_ns, span.work.end_ns);
  }
  for (std::size_t s = 0; s < trace.steps.size(); ++s) {
    std::int64_t now_ns = trace.steps[s].begin_ns;
    const auto run = [&](Section section, int micro_step) {
      for (std::size_t i = 0; i < program.operations.size(); ++i) {
        if (program.operations[i].section != section) continue;
        Span span{static_cast<std::int32_t>(i), micro_step, static_cast<std::int32_t>(s), now_ns, now_ns};
        if (const auto place = seen.find({span.step, micro_step, span.operation}); place != seen.end()) {
          span.begin_ns = std::max(now_ns, place->second.begin_ns);
          span.end_ns = std::max(span.begin_ns, place->second.end_ns);
        }
        now_ns = span.end_ns;
        trace.spans.push_back(span);
      }
    };
    run(Section::prologue, 0);
    for (int m = 0; m < program.micro_steps; ++m) run(Section::micro, m);
    run(Section::update, 0);
  }
}

}  // namespace

DeviceIssues::DeviceIssues(Capture& capture, const Executor& executor, int steps)
    : capture_(capture), executor_(executor) {
  steps_.reserve(static_cast<std::size_t>(steps));
  capture_.push(packed({}));
}

DeviceIssues::~DeviceIssues() { capture_.pop(); }

void DeviceIssues::push(std::int32_t micro_step, std::int32_t operation) {
  const std::int32_t step = in_step_ ? static_cast<std::int32_t>(steps_.size()) - 1 : -1;
  const bool set_up = !counts_ && operation < 0;
  capture_.push(packed({.step = step, .micro_step = micro_step, .operation = operation, .set_up = set_up}));
  ++depth_;
}

void DeviceIssues::pop() {
  if (depth_ == 0) return;
  --depth_;
  capture_.pop();
}

void DeviceIssues::step_begins() {
  if (counts_) {
    const std::int64_t now_ns = executor_.now_ns();
    steps_.push_back({now_ns, now_ns});
    in_step_ = true;
  }
  push(0, -1);
}

void DeviceIssues::operation_begins(int operation, int micro_step) { push(micro_step, operation); }
void DeviceIssues::operation_ends(int, int) { pop(); }
void DeviceIssues::replay_begins(int micro_step) { push(micro_step, -1); }
void DeviceIssues::replay_ends() { pop(); }

void DeviceIssues::step_ends() {
  while (depth_ > 0) pop();
  if (std::exchange(in_step_, false)) steps_.back().end_ns = executor_.now_ns();
}

Trace device_trace(const Program& program, const std::vector<StepSpan>& steps, DeviceActivity activity) {
  Trace trace;
  trace.of_card = true;
  trace.steps = steps;
  const Owners owners(program, steps, activity);
  for (DeviceWork& work : activity.work) trace.device.push_back(owners.owned(std::move(work)));
  const auto order = [](const DeviceSpan& a) {
    return std::tie(a.work.begin_ns, a.work.end_ns, a.work.stream, a.work.correlation, a.work.graph_node, a.work.name);
  };
  std::sort(trace.device.begin(), trace.device.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  trace.calls = std::move(activity.calls);
  std::sort(trace.calls.begin(), trace.calls.end(), [](const DeviceCall& a, const DeviceCall& b) {
    return std::tie(a.begin_ns, a.correlation) < std::tie(b.begin_ns, b.correlation);
  });
  trace.overheads = std::move(activity.overheads);
  trace.lost = std::move(activity.lost);
  widen_steps(trace);
  const std::int64_t origin_ns = trace.steps.empty() ? 0 : trace.steps.front().begin_ns;
  for (StepSpan& step : trace.steps) shift(step.begin_ns, step.end_ns, origin_ns);
  for (DeviceSpan& span : trace.device) shift(span.work.begin_ns, span.work.end_ns, origin_ns);
  for (DeviceCall& call : trace.calls) shift(call.begin_ns, call.end_ns, origin_ns);
  for (DeviceOverhead& overhead : trace.overheads) shift(overhead.begin_ns, overhead.end_ns, origin_ns);
  add_operation_spans(program, trace);
  return trace;
}

}  // namespace stepscope
