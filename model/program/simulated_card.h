// A card that is played on the processor, in test programs alone (tests/support/host_simt): it is told what is issued and says what time it
// would then be, by a card's roofline. Nothing that it says was measured.
//     Machine machine = simulated_card(...);  machine.simulation->now_ns();        // model/cuda/machine.h
#pragma once

#include <cstdint>
#include <string>

#include "model/program/program.h"

namespace stepscope {

class SimulatedCard {
 public:
  virtual ~SimulatedCard() = default;

  [[nodiscard]] virtual const std::string& device() const = 0;  // "simulated:h100-sxm", as --device takes it
  [[nodiscard]] virtual std::string description() const = 0;  // what its times are made of, for records
  // Whether kernels are computed too; else they are costed alone and memory is addresses without bytes: what is read from it is zeros.
  [[nodiscard]] virtual bool computes() const = 0;

  // All that is issued between the two belongs to the operation, which takes its roofline's time.
  virtual void operation_begins(const Program& program, const Operation& operation, int micro_step) = 0;
  virtual void operation_ends() = 0;

  [[nodiscard]] virtual std::int64_t now_ns() const = 0;  // of the host beside the card
};

}  // namespace stepscope
