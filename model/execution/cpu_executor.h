// The CPU machine: one arena, every operation bound to its addresses when the program is loaded, one pool of threads.
#pragma once

#include <memory>

#include "model/execution/executor.h"
#include "model/program/cost.h"

namespace stepscope {

class CpuExecutor final : public Executor {
 public:
  // The program must be lowered to the machine and planned. Throws MachineError where memory cannot be had.
  CpuExecutor(const Program& program, const MemoryPlan& plan, const Machine& machine);
  ~CpuExecutor() override;

  void initialise(std::uint64_t seed) override;
  void write(StateId state, std::span<const std::byte> bytes) override;
  void read(StateId state, std::span<std::byte> bytes) const override;
  void read(ValueId value, std::span<std::byte> bytes) const override;
  [[nodiscard]] ControlBlock& control() override;
  void step(double learning_rate) override;
  void observe(Observer* observer) override;
  [[nodiscard]] UsedBytes measure_used_bytes(double learning_rate) override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace stepscope
