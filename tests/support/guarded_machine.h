// The CPU machine under a magnifier: every value, state and workspace in memory of its own between guard bytes, so that one
// operation can be looked at before and after. Needs neither planner nor executor.
//     GuardedMachine machine(program, {.native_bf16 = false});
//     machine.write(state, numbers);
//     machine.run(Section::prologue);  machine.control().micro_step = 0;  machine.run(Section::micro);
//     machine.read(value);                                                  // as double, whatever its type is
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "model/cpu/binding.h"
#include "model/cpu/threads.h"
#include "model/program/program.h"

namespace stepscope::testing {

class GuardedMemory {  // 256-byte aligned, between guards; content poisoned: a float of it is NaN
 public:
  explicit GuardedMemory(std::int64_t size_bytes);
  [[nodiscard]] std::byte* data() { return block_.get() + guard_bytes; }
  [[nodiscard]] const std::byte* data() const { return block_.get() + guard_bytes; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] bool guards_intact() const;
  void poison();
  [[nodiscard]] std::vector<std::byte> copy() const { return {data(), data() + size_}; }
  void restore(const std::vector<std::byte>& bytes);

 private:
  static constexpr std::int64_t guard_bytes = 256;
  struct Free {
    void operator()(std::byte* block) const;
  };
  std::unique_ptr<std::byte[], Free> block_;
  std::int64_t size_;
};

// Elements of any type as numbers, and back, rounded to the type.
[[nodiscard]] std::vector<double> numbers_at(const std::byte* memory, const TensorType& type);

class GuardedMachine {
 public:
  explicit GuardedMachine(Program program, const Machine& machine = {});

  [[nodiscard]] const Program& program() const { return program_; }
  [[nodiscard]] ControlBlock& control();
  void write(StateId state, const std::vector<double>& elements);
  void write(ValueId value, const std::vector<double>& elements);  // of one that no operation makes
  void poke(StateId state, std::int64_t element, double number);
  [[nodiscard]] std::vector<double> read(StateId state) const;
  [[nodiscard]] std::vector<double> read(ValueId value) const;
  [[nodiscard]] std::vector<std::byte> bytes(ValueId value) const { return values_[index(value)].copy(); }

  void run(Section section, bool forward_only = false);  // in the micro-step that control() names
  // For another machine beside this one: called with each operation and its memory before it runs; what it returns, after it ran.
  using Beside = std::function<std::function<void()>(const Operation&, const OperationBinding&)>;
  void run_beside(Section section, const Beside& beside);
  // The same, every operation held to the laws of machines: no byte outside its outputs and declared writes is altered, the
  // same bits come from 1, 2, 3 and 4 threads, and from outputs that lie over operands where the kind allows it.
  void run_checked(Section section);

 private:
  struct Outcome {  // all that an operation may alter
    std::vector<std::vector<std::byte>> outs, writes;
    bool operator==(const Outcome&) const = default;
  };
  static std::size_t index(ValueId id) { return static_cast<std::size_t>(id.index); }
  GuardedMemory& memory_of(const Operand& operand);
  [[nodiscard]] CpuBinding binding_of(const Operation& op, Threads& threads);
  CpuRun bind(const Operation& op, Threads& threads);
  CpuRun bind_over(const Operation& op, const InPlace& rule, Threads& threads);
  Outcome outcome(const Operation& op);
  void reset(const Operation& op, const Outcome& before);
  void check(const Operation& op);
  void check_in_place(const Operation& op, const Outcome& before, const Outcome& expected);
  void expect_untouched(const Operation& op, const std::vector<std::vector<std::byte>>& ins_before);

  Program program_;
  Machine machine_;
  std::vector<GuardedMemory> values_, states_, workspaces_;
  GuardedMemory control_;
  std::vector<CpuRun> runs_;  // by operation, on one thread
};

}  // namespace stepscope::testing
