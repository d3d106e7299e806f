// A trace from a card's own account: whose every kernel, copy and set is, found by what the host said while it issued them.
//     DeviceIssues issues(capture, executor, steps);  session.observe(&issues);  issues.count_steps();  ... steps ...
//     const Trace trace = device_trace(program, issues.steps(), capture.stop(wait));
// Work launched by itself belongs to the owner of its call; of a replayed graph to the operation of its node, in the step and micro-step of
// the launch. What belongs to no operation is named: "step control" (a step's own: control block, count of micro-steps), "between steps" (next
// batch, results), "warm-up", "lazy loading", "profiler", "unknown".
#pragma once

#include <vector>

#include "model/execution/executor.h"
#include "model/program/observer.h"
#include "model/program/program.h"
#include "profiles/capture/capture.h"
#include "profiles/trace_model.h"

namespace stepscope {

class DeviceIssues final : public Observer {
 public:
  DeviceIssues(Capture& capture, const Executor& executor, int steps);  // of so many without allocating
  ~DeviceIssues() override;
  DeviceIssues(const DeviceIssues&) = delete;
  DeviceIssues& operator=(const DeviceIssues&) = delete;

  void count_steps() { counts_ = true; }  // those before warm up what was recorded anew

  void step_begins() override;
  void operation_begins(int operation, int micro_step) override;
  void operation_ends(int operation, int micro_step) override;
  [[nodiscard]] bool sees_each_operation() const override { return false; }
  void replay_begins(int micro_step) override;
  void replay_ends() override;
  void step_ends() override;
  [[nodiscard]] const std::vector<StepSpan>& steps() const {
    return steps_;
  }  // as the host issued them, by the executor's clock

 private:
  void push(std::int32_t micro_step, std::int32_t operation);
  void pop();

  Capture& capture_;
  const Executor& executor_;
  std::vector<StepSpan> steps_;
  bool counts_ = false, in_step_ = false;  // in one that counts
  int depth_ = 0;  // within a step
};

// A step reaches from where the host began it, or its first work, to where the host was done issuing, or its last work.
[[nodiscard]] Trace device_trace(const Program& program, const std::vector<StepSpan>& steps, DeviceActivity activity);

}  // namespace stepscope
