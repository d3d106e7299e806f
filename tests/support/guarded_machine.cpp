#include "tests/support/guarded_machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "model/base/half.h"
#include "tests/support/test_kinds.h"

namespace stepscope::testing {

namespace {

constexpr std::byte guard{0xA5}, poison_byte{0xFF};
constexpr std::align_val_t alignment{256};
constexpr int most_threads = 4;

Threads& pool(int threads) {
  static std::array<std::unique_ptr<Threads>, most_threads + 1> pools;
  auto& pool = pools[static_cast<std::size_t>(threads)];
  if (!pool) pool = std::make_unique<Threads>(threads);
  return *pool;
}

// get(i) and set(i, number) by the type of the elements.
template <class F>
void by_type(DType dtype, F f) {
  if (dtype == DType::int32)
    f.template operator()<std::int32_t>();
  else if (dtype == DType::u8)
    f.template operator()<std::uint8_t>();
  else
    dispatch(dtype, [&]<class T>() { f.template operator()<T>(); });
}

template <class T>
void set_element(std::byte* memory, std::int64_t i, double number) {
  if constexpr (is_floating<T>)
    reinterpret_cast<T*>(memory)[i] = store<T>(static_cast<Accumulator<T>>(number));
  else
    reinterpret_cast<T*>(memory)[i] = static_cast<T>(number);
}

void set_all(GuardedMemory& memory, DType dtype, const std::vector<double>& numbers) {
  by_type(dtype, [&]<class T>() {
    for (std::size_t i = 0; i < numbers.size(); ++i)
      set_element<T>(memory.data(), static_cast<std::int64_t>(i), numbers[i]);
  });
}

}  // namespace

std::vector<double> numbers_at(const std::byte* memory, const TensorType& type) {
  std::vector<double> numbers(static_cast<std::size_t>(type.shape.elements()));
  by_type(type.dtype, [&]<class T>() {
    const T* elements = reinterpret_cast<const T*>(memory);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if constexpr (is_floating<T>)
        numbers[i] = static_cast<double>(load(elements[i]));
      else
        numbers[i] = static_cast<double>(elements[i]);
    }
  });
  return numbers;
}

void GuardedMemory::Free::operator()(std::byte* block) const { ::operator delete[](block, alignment); }

GuardedMemory::GuardedMemory(std::int64_t size_bytes)
    : block_(
          static_cast<std::byte*>(::operator new[](static_cast<std::size_t>(size_bytes + 2 * guard_bytes), alignment))),
      size_(size_bytes) {
  std::fill_n(block_.get(), size_ + 2 * guard_bytes, guard);
  poison();
}

bool GuardedMemory::guards_intact() const {
  const auto intact = [](std::byte byte) { return byte == guard; };
  return std::all_of(block_.get(), block_.get() + guard_bytes, intact) &&
         std::all_of(data() + size_, data() + size_ + guard_bytes, intact);
}

void GuardedMemory::poison() { std::fill_n(data(), size_, poison_byte); }

void GuardedMemory::restore(const std::vector<std::byte>& bytes) { std::copy(bytes.begin(), bytes.end(), data()); }

GuardedMachine::GuardedMachine(Program program, const Machine& machine)
    : program_(std::move(program)), machine_(machine), control_(sizeof(ControlBlock)) {
  machine_.threads = most_threads;  // workspaces are planned for as many as will ever run
  new (control_.data()) ControlBlock;
  for (const Value& value : program_.values) values_.emplace_back(value.type.size_bytes());
  for (const State& state : program_.states) states_.emplace_back(state.type.size_bytes());
  for (Operation& op : program_.operations) {
    const auto workspace = row_of_any(*op.kind).cpu.workspace_bytes;
    op.workspace_bytes = workspace == nullptr ? 0 : workspace(program_, op, machine_);
    workspaces_.emplace_back(op.workspace_bytes);
  }
  for (const Operation& op : program_.operations) runs_.push_back(bind(op, pool(1)));
}

ControlBlock& GuardedMachine::control() { return *reinterpret_cast<ControlBlock*>(control_.data()); }

void GuardedMachine::write(StateId state, const std::vector<double>& elements) {
  ASSERT_EQ(static_cast<std::int64_t>(elements.size()), program_.state(state).type.shape.elements());
  set_all(states_[static_cast<std::size_t>(state.index)], program_.state(state).type.dtype, elements);
}

void GuardedMachine::write(ValueId value, const std::vector<double>& elements) {
  ASSERT_EQ(static_cast<std::int64_t>(elements.size()), program_.value(value).type.shape.elements());
  set_all(values_[index(value)], program_.value(value).type.dtype, elements);
}

void GuardedMachine::poke(StateId state, std::int64_t element, double number) {
  std::byte* memory = states_[static_cast<std::size_t>(state.index)].data();
  by_type(program_.state(state).type.dtype, [&]<class T>() { set_element<T>(memory, element, number); });
}

std::vector<double> GuardedMachine::read(StateId state) const {
  return numbers_at(states_[static_cast<std::size_t>(state.index)].data(), program_.state(state).type);
}

std::vector<double> GuardedMachine::read(ValueId value) const {
  return numbers_at(values_[index(value)].data(), program_.value(value).type);
}

GuardedMemory& GuardedMachine::memory_of(const Operand& operand) {
  if (operand.is_value()) return values_[index(operand.value())];
  return states_[static_cast<std::size_t>(operand.index)];
}

CpuBinding GuardedMachine::binding_of(const Operation& op, Threads& threads) {
  CpuBinding binding;
  binding.program = &program_;
  binding.operation = &op;
  for (const Operand& in : op.ins)
    binding.ins.push_back(memory_of(in).data() + in.view.offset * size_bytes(program_.type(in).dtype));
  for (const ValueId out : op.outs) binding.outs.push_back(values_[index(out)].data());
  for (const Write& write : op.writes)
    binding.writes.push_back(states_[static_cast<std::size_t>(write.state.index)].data());
  binding.workspace = workspaces_[static_cast<std::size_t>(&op - program_.operations.data())].data();
  binding.control = &control();
  binding.threads = &threads;
  binding.machine = &machine_;
  return binding;
}

CpuRun GuardedMachine::bind(const Operation& op, Threads& threads) {
  return row_of_any(*op.kind).cpu.bind(binding_of(op, threads));
}

CpuRun GuardedMachine::bind_over(const Operation& op, const InPlace& rule, Threads& threads) {
  CpuBinding binding = binding_of(op, threads);
  binding.ins[static_cast<std::size_t>(rule.in)] = binding.outs[static_cast<std::size_t>(rule.out)];
  return row_of_any(*op.kind).cpu.bind(binding);
}

void GuardedMachine::run(Section section, bool forward_only) {
  for (std::size_t i = 0; i < program_.operations.size(); ++i) {
    const Operation& op = program_.operations[i];
    if (op.section == section && !(forward_only && op.phase == Phase::backward)) runs_[i]();
  }
}

void GuardedMachine::run_beside(Section section, const Beside& beside) {
  for (std::size_t i = 0; i < program_.operations.size(); ++i) {
    const Operation& op = program_.operations[i];
    if (op.section != section) continue;
    const std::function<void()> afterwards = beside(op, binding_of(op, pool(1)));
    runs_[i]();
    if (afterwards) afterwards();
  }
}

void GuardedMachine::run_checked(Section section) {
  for (const Operation& op : program_.operations)
    if (op.section == section) {
      SCOPED_TRACE(std::string(op.kind->name));
      check(op);
    }
}

GuardedMachine::Outcome GuardedMachine::outcome(const Operation& op) {
  Outcome outcome;
  for (const ValueId out : op.outs) outcome.outs.push_back(values_[index(out)].copy());
  for (const Write& write : op.writes)
    outcome.writes.push_back(write.state == program_.results
                                 ? control_.copy()
                                 : states_[static_cast<std::size_t>(write.state.index)].copy());
  return outcome;
}

void GuardedMachine::reset(const Operation& op, const Outcome& before) {
  for (const ValueId out : op.outs) values_[index(out)].poison();
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    const StateId state = op.writes[w].state;
    (state == program_.results ? control_ : states_[static_cast<std::size_t>(state.index)]).restore(before.writes[w]);
  }
  workspaces_[static_cast<std::size_t>(&op - program_.operations.data())].poison();
}

void GuardedMachine::expect_untouched(const Operation& op, const std::vector<std::vector<std::byte>>& ins_before) {
  const auto untouched = [](const GuardedMemory& memory) { return memory.guards_intact(); };
  EXPECT_TRUE(std::all_of(values_.begin(), values_.end(), untouched)) << "wrote past a value";
  EXPECT_TRUE(std::all_of(states_.begin(), states_.end(), untouched)) << "wrote past a state";
  EXPECT_TRUE(std::all_of(workspaces_.begin(), workspaces_.end(), untouched)) << "wrote past its workspace";
  EXPECT_TRUE(control_.guards_intact()) << "wrote past the control block";
  for (std::size_t i = 0; i < op.ins.size(); ++i)
    EXPECT_EQ(memory_of(op.ins[i]).copy(), ins_before[i]) << "altered operand " << i;
}

void GuardedMachine::check(const Operation& op) {
  const Outcome before = outcome(op);
  std::vector<std::vector<std::byte>> ins_before;
  for (const Operand& in : op.ins) ins_before.push_back(memory_of(in).copy());
  const std::vector<std::byte> control_before = control_.copy();

  reset(op, before);
  runs_[static_cast<std::size_t>(&op - program_.operations.data())]();
  const Outcome expected = outcome(op);
  expect_untouched(op, ins_before);
  const bool may_write_results = std::any_of(op.writes.begin(), op.writes.end(),
                                             [&](const Write& write) { return write.state == program_.results; });
  const std::int64_t fixed_bytes = may_write_results ? control_bytes : control_.size();
  EXPECT_EQ(std::memcmp(control_.data(), control_before.data(), static_cast<std::size_t>(fixed_bytes)), 0)
      << "altered the control block without declaring it";

  for (int threads = 2; threads <= most_threads; ++threads) {
    reset(op, before);
    bind(op, pool(threads))();
    EXPECT_TRUE(outcome(op) == expected) << "other bits on " << threads << " threads";
    expect_untouched(op, ins_before);
  }
  check_in_place(op, before, expected);
}

void GuardedMachine::check_in_place(const Operation& op, const Outcome& before, const Outcome& expected) {
  for (const InPlace& rule : op.kind->in_place) {
    if (rule.in >= static_cast<int>(op.ins.size())) continue;
    const Operand& in = op.ins[static_cast<std::size_t>(rule.in)];
    const ValueId out = op.outs[static_cast<std::size_t>(rule.out)];
    if (!in.is_value() || size_bytes(program_.type(in).dtype) != size_bytes(program_.value(out).type.dtype)) continue;
    reset(op, before);
    values_[index(out)].restore(values_[index(in.value())].copy());
    bind_over(op, rule, pool(2))();
    EXPECT_TRUE(outcome(op) == expected) << "other bits with output " << rule.out << " over operand " << rule.in;
  }
  reset(op, before);
  for (std::size_t o = 0; o < op.outs.size(); ++o) values_[index(op.outs[o])].restore(expected.outs[o]);
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    const StateId state = op.writes[w].state;
    (state == program_.results ? control_ : states_[static_cast<std::size_t>(state.index)]).restore(expected.writes[w]);
  }
}

}  // namespace stepscope::testing
