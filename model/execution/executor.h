// Runs a Program, and nothing but a Program: there is no other entry. Memory is allocated when the executor is made
// (one arena, one allocation a category of states); a step allocates nothing.
//     CpuExecutor executor(step.program, step.plan, machine);
//     executor.initialise(seed);                                   // parameters by their laws, moments 0
//     executor.write(program.find_state("tokens"), bytes);         // the batch of the whole step
//     executor.step({.learning_rate = 1e-3});                      // prologue, micro-steps, update
//     executor.control().loss_sum / executor.control().token_count // the loss of the step
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "model/base/clock.h"
#include "model/program/control_block.h"
#include "model/program/memory_plan.h"
#include "model/program/observer.h"
#include "model/program/program.h"

namespace stepscope {

class Executor {
 public:
  virtual ~Executor() = default;

  virtual void initialise(std::uint64_t seed) = 0;
  virtual void write(StateId state,
                     std::span<const std::byte> bytes) = 0;  // all of it; throws UsageError for another size
  virtual void read(StateId state, std::span<std::byte> bytes) const = 0;
  virtual void read(ValueId value, std::span<std::byte> bytes) const = 0;  // from an observer, while the value lives
  [[nodiscard]] virtual ControlBlock& control() = 0;  // between steps: step, seed, loss scale to start from
  virtual void step(double learning_rate) = 0;  // then control().step is one more
  virtual void observe(Observer* observer) = 0;  // null: nobody
  virtual void synchronise() const {}  // returns when all that was issued is done
  // Tells a profiler that waits for it that the steps which follow are wanted, or no longer. False: this machine knows none.
  virtual bool mark_profile_window(bool /*opens*/) { return false; }
  // Whether step returns before it is done, so that the next batch may be written meanwhile: the running step still reads its own.
  [[nodiscard]] virtual bool works_beside_host() const { return false; }

  // The clock that its steps are timed by: this machine's, unless the device is simulated.
  [[nodiscard]] virtual std::int64_t now_ns() const { return steady_ns(); }
  // Whether numbers come out of its steps: a simulated card may only count what they cost.
  [[nodiscard]] virtual bool computes() const { return true; }

  // Of its device's memory taken now, by the device's own count; none where that is the host's.
  [[nodiscard]] virtual std::optional<std::int64_t> device_reports_bytes() const { return std::nullopt; }

  [[nodiscard]] virtual std::int64_t graph_bytes() const { return 0; }  // of them what its recorded work holds

  // Bytes really used by one step, found by running two steps over poisoned memory with states restored afterwards:
  // never copied from the plan. Any value whose bytes differ from its plan is named in `differences`.
  struct UsedBytes {
    std::int64_t states = 0;  // bytes of the states' allocations
    std::int64_t arena = 0;  // up to the last byte that any operation touched, rounded up to 256
    std::int64_t largest_live = 0;  // greatest sum of measured values alive at once
    std::int64_t host_states = 0, host_arena = 0,
                 host_largest_live = 0;  // the same in host memory; the three above are the device's
    std::vector<std::string> differences;
  };
  [[nodiscard]] virtual UsedBytes measure_used_bytes(double learning_rate) = 0;
};

}  // namespace stepscope
