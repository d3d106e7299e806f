// Times every operation of the steps it observes, on the steady clock. Room for the spans is made beforehand, so that
// observing allocates nothing; it costs two clock readings an operation, which a visit of its own pays for.
//     CpuSpans spans(program, 3);      // for three steps
#pragma once

#include <chrono>

#include "model/program/observer.h"
#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope {

class CpuSpans final : public Observer {
 public:
  CpuSpans(const Program& program, int steps);

  void step_begins() override;
  void operation_begins(int operation, int micro_step) override;
  void operation_ends(int operation, int micro_step) override;
  [[nodiscard]] bool takes_times() const override { return true; }
  void step_ends() override;
  [[nodiscard]] const Trace& trace() const { return trace_; }

 private:
  [[nodiscard]] std::int64_t now_ns() const;

  std::chrono::steady_clock::time_point origin_;
  Trace trace_;
};

}  // namespace stepscope
