// Who looks on while a step runs: spans, ranges, saved logits, measured bytes. With no observer an executor does nothing extra.
#pragma once

#include "model/program/program.h"

namespace stepscope {

struct Observer {
  virtual ~Observer() = default;
  virtual void step_begins() {}
  virtual void operation_begins(int /*operation*/, int /*micro_step*/) {}
  virtual void operation_ends(int /*operation*/, int /*micro_step*/) {}
  // Whether it takes times: a machine that works beside the host then waits for each operation before it says that it ended.
  [[nodiscard]] virtual bool takes_times() const { return false; }
  // Whether it must see each operation issued. If not, a machine that replays recorded work goes on to: it tells the operations while it
  // records them anew, and each replay while steps run.
  [[nodiscard]] virtual bool sees_each_operation() const { return true; }
  virtual void replay_begins(int /*micro_step*/) {}
  virtual void replay_ends() {}
  virtual void step_ends() {}  // also when an exception leaves the step: whatever is open is closed; throws nothing
};

// Two observers in the place of one; the outer one also sees what the inner one takes.
class ObserverPair final : public Observer {
 public:
  ObserverPair(Observer& outer, Observer& inner) : outer_(outer), inner_(inner) {}

  void step_begins() override {
    outer_.step_begins();
    inner_.step_begins();
  }
  void operation_begins(int operation, int micro_step) override {
    outer_.operation_begins(operation, micro_step);
    inner_.operation_begins(operation, micro_step);
  }
  void operation_ends(int operation, int micro_step) override {
    inner_.operation_ends(operation, micro_step);
    outer_.operation_ends(operation, micro_step);
  }
  [[nodiscard]] bool takes_times() const override { return outer_.takes_times() || inner_.takes_times(); }
  [[nodiscard]] bool sees_each_operation() const override {
    return outer_.sees_each_operation() || inner_.sees_each_operation();
  }
  void replay_begins(int micro_step) override {
    outer_.replay_begins(micro_step);
    inner_.replay_begins(micro_step);
  }
  void replay_ends() override {
    inner_.replay_ends();
    outer_.replay_ends();
  }
  void step_ends() override {
    inner_.step_ends();
    outer_.step_ends();
  }

 private:
  Observer& outer_;
  Observer& inner_;
};

}  // namespace stepscope
