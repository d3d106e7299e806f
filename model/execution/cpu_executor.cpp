#include "model/execution/cpu_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "model/base/error.h"
#include "model/cpu/threads.h"
#include "model/execution/state_store.h"
#include "model/execution/used_bytes.h"
#include "model/operations/list.h"

namespace stepscope {

struct CpuExecutor::Parts {
  const Program& program;
  const MemoryPlan& plan;
  const Machine machine;
  Threads threads;
  StateStore states;
  Region arena, host_arena;  // on a CPU a copy to the host goes to other memory of the same kind
  std::vector<CpuRun> runs;  // by operation
  std::array<std::size_t, 4> section_begins{};
  Observer* observer = nullptr;

  Parts(const Program& p, const MemoryPlan& memory_plan, const Machine& m)
      : program(p),
        plan(memory_plan),
        machine(m),
        threads(m.threads),
        states(p),
        arena(std::max(memory_plan.arena_bytes, arena_alignment_bytes)),
        host_arena(memory_plan.host_arena_bytes) {
    for (const Operation& op : program.operations) ++section_begins[static_cast<std::size_t>(op.section) + 1];
    for (std::size_t s = 1; s < section_begins.size(); ++s) section_begins[s] += section_begins[s - 1];
    for (std::size_t i = 0; i < program.operations.size(); ++i) runs.push_back(bind(i));
  }

  [[nodiscard]] ControlBlock& control() const { return *reinterpret_cast<ControlBlock*>(states.at(program.control)); }
  [[nodiscard]] std::byte* address(ValueId id) const {
    const Placement& place = plan.placements[static_cast<std::size_t>(id.index)];
    return (place.memory == Memory::host ? host_arena : arena).base() + place.offset_bytes;
  }

  CpuRun bind(std::size_t index) {
    const Operation& op = program.operations[index];
    CpuBinding binding;
    binding.program = &program;
    binding.operation = &op;
    binding.control = &control();
    binding.threads = &threads;
    binding.machine = &machine;
    for (const Operand& in : op.ins) {
      std::byte* base = in.is_value() ? address(in.value()) : states.at(in.state());
      binding.ins.push_back(base + in.view.offset * size_bytes(program.type(in).dtype));
    }
    for (const ValueId out : op.outs) binding.outs.push_back(address(out));
    for (const Write& write : op.writes) {
      binding.writes.push_back(write.is_staged() ? binding.outs[static_cast<std::size_t>(write.out)]
                                                 : states.at(write.state));
      binding.held.push_back(write.is_staged() ? binding.ins[static_cast<std::size_t>(write.in)]
                                               : states.at(write.state));
    }
    if (op.workspace_bytes > 0) binding.workspace = arena.base() + plan.workspace_offsets[index];
    return row_of(*op.kind).cpu.bind(binding);
  }

  // Calls each(operation, micro_step) for all that a step does, in order.
  template <class Each>
  void walk(Each&& each) const {
    const auto run_section = [&](Section section, int micro_step) {
      control().micro_step = micro_step;
      const auto s = static_cast<std::size_t>(section);
      for (std::size_t i = section_begins[s]; i < section_begins[s + 1]; ++i) each(i, micro_step);
    };
    run_section(Section::prologue, 0);
    for (int m = 0; m < program.micro_steps; ++m) run_section(Section::micro, m);
    run_section(Section::update, 0);
  }
};

namespace {

class HostMemory final : public StepMemory {
 public:
  HostMemory(std::byte* arena, std::byte* host_arena, const StateStore& states)
      : arena_(arena), host_arena_(host_arena), states_(states) {}
  [[nodiscard]] std::byte* arena(Memory memory) const override {
    return memory == Memory::device ? arena_ : host_arena_;
  }
  [[nodiscard]] std::byte* state(StateId id) const override { return states_.at(id); }
  [[nodiscard]] std::int64_t states_bytes(Memory memory) const override { return states_.allocated_bytes(memory); }
  void fill(Memory, std::byte* begin, std::int64_t bytes, std::byte pattern) override {
    std::memset(begin, static_cast<int>(pattern), static_cast<std::size_t>(bytes));
  }
  [[nodiscard]] std::int64_t touched(Memory, const std::byte* begin, std::int64_t bytes,
                                     std::byte pattern) const override {
    while (bytes > 0 && begin[bytes - 1] == pattern) --bytes;
    return bytes;
  }

 private:
  std::byte *arena_, *host_arena_;
  const StateStore& states_;
};

// Tells an observer of a step, and of its end also when an exception leaves it.
class SeenStep {
 public:
  explicit SeenStep(Observer& observer) : observer_(observer) { observer_.step_begins(); }
  ~SeenStep() { observer_.step_ends(); }
  SeenStep(const SeenStep&) = delete;
  SeenStep& operator=(const SeenStep&) = delete;

 private:
  Observer& observer_;
};

}  // namespace

CpuExecutor::CpuExecutor(const Program& program, const MemoryPlan& plan, const Machine& machine)
    : parts_(std::make_unique<Parts>(program, plan, machine)) {
  parts_->control() = ControlBlock{.loss_scale = program.initial_loss_scale};
}

CpuExecutor::~CpuExecutor() = default;

void CpuExecutor::initialise(std::uint64_t seed) {
  parts_->states.initialise(seed);
  parts_->control() = ControlBlock{.seed = seed, .loss_scale = parts_->program.initial_loss_scale};
}

void CpuExecutor::write(StateId state, std::span<const std::byte> bytes) {
  const std::span<std::byte> place = parts_->states.bytes_of(state);
  if (bytes.size() != place.size())
    throw UsageError(
        fmt::format("{}: {} bytes given, must be {}", parts_->program.state(state).name, bytes.size(), place.size()));
  std::ranges::copy(bytes, place.begin());
}

void CpuExecutor::read(StateId state, std::span<std::byte> bytes) const {
  const std::span<const std::byte> place = parts_->states.bytes_of(state);
  if (bytes.size() != place.size())
    throw UsageError(fmt::format("{}: room for {} bytes, must be {}", parts_->program.state(state).name, bytes.size(),
                                 place.size()));
  std::ranges::copy(place, bytes.begin());
}

void CpuExecutor::read(ValueId value, std::span<std::byte> bytes) const {
  const auto size = static_cast<std::size_t>(parts_->program.value(value).type.size_bytes());
  if (bytes.size() != size)
    throw UsageError(
        fmt::format("{}: room for {} bytes, must be {}", parts_->program.value(value).name, bytes.size(), size));
  std::memcpy(bytes.data(), parts_->address(value), size);
}

ControlBlock& CpuExecutor::control() { return parts_->control(); }

void CpuExecutor::observe(Observer* observer) { parts_->observer = observer; }

void CpuExecutor::step(double learning_rate) {
  ControlBlock& control = parts_->control();
  control.learning_rate = learning_rate;
  if (Observer* const observer = parts_->observer) {
    const SeenStep seen(*observer);
    parts_->walk([&](std::size_t i, int micro_step) {
      observer->operation_begins(static_cast<int>(i), micro_step);
      parts_->runs[i]();
      observer->operation_ends(static_cast<int>(i), micro_step);
    });
  } else {
    parts_->walk([&](std::size_t i, int) { parts_->runs[i](); });
  }
  ++control.step;
}

Executor::UsedBytes CpuExecutor::measure_used_bytes(double learning_rate) {
  std::vector<std::vector<std::byte>> saved;
  for (const Region& region : parts_->states.regions())
    saved.emplace_back(region.base(), region.base() + region.bytes());
  const auto restore = [&] {
    for (std::size_t r = 0; r < saved.size(); ++r) std::ranges::copy(saved[r], parts_->states.regions()[r].base());
  };
  HostMemory memory(parts_->arena.base(), parts_->host_arena.base(), parts_->states);
  TouchedBytes touched(parts_->program, parts_->plan, memory);
  for (const std::byte pattern : poison_patterns) {
    restore();
    parts_->control().learning_rate = learning_rate;
    touched.begin_step(pattern);
    parts_->walk([&](std::size_t i, int) {
      touched.before(static_cast<int>(i), pattern);
      parts_->runs[i]();
      touched.after(static_cast<int>(i), pattern);
    });
    touched.end_step(pattern, parts_->control().loss_sum);
  }
  restore();
  return touched.conclude();
}

}  // namespace stepscope
