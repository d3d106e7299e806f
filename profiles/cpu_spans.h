// Times every operation of the steps it observes, on the executor's clock. Room for the spans is made beforehand, so that
// observing allocates nothing; it costs two clock readings an operation, which a visit of its own pays for.
//     CpuSpans spans(program, executor, 3);      // for three steps
#pragma once

#include <cstdint>

#include "model/execution/executor.h"
#include "model/program/observer.h"
#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

class CpuSpans final : public Observer {
 public:
  CpuSpans(const Program& program, const Executor& executor, int steps);

  void step_begins() override;
  void operation_begins(int operation, int micro_step) override;
  void operation_ends(int operation, int micro_step) override;
  [[nodiscard]] bool takes_times() const override { return true; }
  void step_ends() override;
  [[nodiscard]] const Trace& trace() const { return trace_; }

 private:
  [[nodiscard]] std::int64_t now_ns() const { return executor_.now_ns() - origin_ns_; }

  const Executor& executor_;
  std::int64_t origin_ns_;
  Trace trace_;
};

}  // namespace stepscope
