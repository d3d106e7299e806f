// NVTX ranges of a step, for Nsight Systems and every other tool that listens there: in the domain "stepscope" the nesting
// step > micro-step > phase > layer by layer > operation, each range with its category (the phase) and its work as payload.
//     Ranges ranges(program);                                       // names are registered now, once
//     if (ranges.attached()) executor.observe(&ranges);
// Names: an operation's kind ("linear"), a layer relative to the one around it ("blocks.1", "mlp", "up"), a phase, "micro-step 0",
// "step". Payload: FLOPs (causal attention half) and bytes (each operand once) of all that the range holds, as a schema of two
// numbers; where a tool knows no schemas (Nsight Systems 2022), the bytes alone. Without a tool attached nothing is made or sent.
#pragma once

#include <cstdint>
#include <memory>

#include "model/program/observer.h"
#include "model/program/program.h"

namespace stepscope {

class Ranges final : public Observer {
 public:
  explicit Ranges(const Program& program);
  ~Ranges() override;

  [[nodiscard]] static bool built();  // with NVTX's headers; if not, a tool is never attached
  [[nodiscard]] bool attached() const { return parts_ != nullptr; }

  void step_begins() override;
  void operation_begins(int operation, int micro_step) override;
  void operation_ends(int operation, int micro_step) override;
  void step_ends() override;  // closes whatever an exception left open

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;  // null: nobody listens
};

}  // namespace stepscope
