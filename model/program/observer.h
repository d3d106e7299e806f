// Who looks on while a step runs: spans, saved logits, measured bytes. With no observer an executor does nothing extra.
#pragma once

#include "model/program/program.h"

namespace stepscope {

struct Observer {
  virtual ~Observer() = default;
  virtual void step_begins() {}
  virtual void operation_begins(int /*operation*/, int /*micro_step*/) {}
  virtual void operation_ends(int /*operation*/, int /*micro_step*/) {}
  virtual void step_ends() {}
};

}  // namespace stepscope
