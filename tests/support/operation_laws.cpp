#include "tests/support/operation_laws.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/base/tolerance.h"
#include "model/cpu/machine.h"
#include "model/operations/cast/cast.h"

namespace stepscope::testing {

namespace {

// Both ways that a bf16 matmul runs on a CPU, where it has both.
std::vector<Machine> machines_for(DType compute) {
  Machine widened, native;
  native.native_bf16 = true;
  if (compute == DType::bf16 && this_cpu(1).native_bf16) return {widened, native};
  return {widened};
}

GuardedMachine machine_of(const CaseProgram& made, const Machine& machine) {
  GuardedMachine guarded(made.program, machine);
  for (const auto& [name, numbers] : made.contents) guarded.write(made.program.find_state(name), numbers);
  ControlBlock& control = guarded.control();
  control.step = 5;
  control.skips = 2;
  control.seed = 0x123456789abcdef;
  control.learning_rate = 0.125;
  control.token_count = 7;
  control.clip_factor = 0.5;
  return guarded;
}

double loss_of(GuardedMachine& machine) {
  double loss = 0;
  machine.run(Section::prologue);
  for (int micro = 0; micro < machine.program().micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run(Section::micro, true);
    loss += machine.read(machine.program().loss)[0];
  }
  return loss;
}

// The derivative of the loss by one element: central differences of eighth order.
double difference(GuardedMachine& machine, StateId state, std::int64_t element, double at) {
  constexpr double step = 0x1p-6, weights[] = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};
  double slope = 0;
  for (int k = 1; k <= 4; ++k) {
    machine.poke(state, element, at + k * step);
    const double above = loss_of(machine);
    machine.poke(state, element, at - k * step);
    slope += weights[k - 1] * (above - loss_of(machine)) / step;
  }
  machine.poke(state, element, at);
  return slope;
}

struct Labelled {
  std::string name;
  std::vector<double> numbers;
};

// Every value that both types of program have, and every state that is written.
std::vector<Labelled> results_of(GuardedMachine& machine) {
  std::vector<Labelled> results;
  const Program& program = machine.program();
  int index = 0;
  for (const Operation& op : program.operations) {
    if (op.kind == &cast_kind) continue;
    for (std::size_t o = 0; o < op.outs.size(); ++o)
      results.push_back(
          {fmt::format("{}:{} {}", index, op.kind->name, program.value(op.outs[o]).name), machine.read(op.outs[o])});
    ++index;
    for (const Write& write : op.writes)
      if (write.state != program.results)
        results.push_back({program.state(write.state).name, machine.read(write.state)});
  }
  const ControlBlock& control = machine.control();
  results.push_back({"results",
                     {control.token_count, control.loss_sum, control.gradient_norm, control.clip_factor,
                      control.loss_scale, static_cast<double>(control.found_inf), static_cast<double>(control.skips)}});
  return results;
}

const Labelled* find(const std::vector<Labelled>& results, const std::string& name) {
  const auto it = std::find_if(results.begin(), results.end(), [&](const Labelled& one) { return one.name == name; });
  return it == results.end() ? nullptr : &*it;
}

void expect_close(const Labelled& a, const Labelled& b, DType dtype) {
  ASSERT_EQ(a.numbers.size(), b.numbers.size()) << a.name;
  for (std::size_t i = 0; i < a.numbers.size(); ++i)
    ASSERT_TRUE(close(a.numbers[i], b.numbers[i], dtype))
        << fmt::format("{}[{}]: {} in {}, {} in fp64", a.name, i, a.numbers[i], name_of(dtype), b.numbers[i]);
}

// A value's bytes in each micro-step.
std::vector<std::vector<std::byte>> values_by_micro_step(GuardedMachine& machine, ValueId value) {
  std::vector<std::vector<std::byte>> pieces;
  for (int micro = 0; micro < machine.program().micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run(Section::micro);
    pieces.push_back(machine.bytes(value));
  }
  return pieces;
}

}  // namespace

GuardedMachine machine_of(const CaseProgram& made) { return machine_of(made, {}); }

void run_step(GuardedMachine& machine) {
  machine.run(Section::prologue);
  for (int micro = 0; micro < machine.program().micro_steps; ++micro) {
    machine.control().micro_step = micro;
    machine.run(Section::micro);
  }
  machine.run(Section::update);
}

void expect_gradients_equal_differences(const OperationCase& c) {
  const CaseProgram made = c.make(DType::fp64, c.micro_steps);
  GuardedMachine machine = machine_of(made);
  run_step(machine);
  for (const StateId parameter : made.program.states_of(StateKind::parameter)) {
    const State& state = made.program.state(parameter);
    const std::vector<double> gradient = machine.read(made.program.belonging_to(parameter, StateKind::gradient));
    const std::vector<double>& at = made.contents.at(state.name);
    const auto n = static_cast<std::int64_t>(gradient.size());
    const std::int64_t checked = n > 2000 ? 8 : 60;  // spread over the parameter
    const std::int64_t stride = std::max<std::int64_t>(1, n / checked);
    for (std::int64_t i = 0; i < n; i += stride) {
      const double expected = difference(machine, parameter, i, at[static_cast<std::size_t>(i)]);
      ASSERT_TRUE(close(gradient[static_cast<std::size_t>(i)], expected, DType::fp64)) << fmt::format(
          "{}[{}]: gradient {}, difference {}", state.name, i, gradient[static_cast<std::size_t>(i)], expected);
    }
  }
}

void expect_types_agree(const OperationCase& c, DType compute) {
  const CaseProgram exact_made = c.make(DType::fp64, 1);
  GuardedMachine exact = machine_of(exact_made);
  run_step(exact);
  const std::vector<Labelled> expected = results_of(exact);
  for (const Machine& kind : machines_for(compute)) {
    const CaseProgram made = c.make(compute, 1);
    GuardedMachine machine = machine_of(made, kind);
    run_step(machine);
    std::size_t compared = 0;
    for (const Labelled& result : results_of(machine)) {
      const Labelled* match = find(expected, result.name);
      if (match == nullptr) continue;  // a copy in the narrow type
      expect_close(result, *match, compute);
      ++compared;
    }
    EXPECT_EQ(compared, expected.size());
  }
}

void expect_machine_laws(const OperationCase& c, DType compute) {
  for (const Machine& kind : machines_for(compute)) {
    GuardedMachine machine = machine_of(c.make(compute, c.micro_steps), kind);
    machine.run_checked(Section::prologue);
    for (int micro = 0; micro < c.micro_steps; ++micro) {
      machine.control().micro_step = micro;
      machine.run_checked(Section::micro);
    }
    machine.run_checked(Section::update);
  }
}

void expect_split_keeps_rows(const OperationCase& c, DType compute) {
  GuardedMachine whole = machine_of(c.make(compute, 1)), parts = machine_of(c.make(compute, c.micro_steps));
  whole.run(Section::prologue);
  parts.run(Section::prologue);
  whole.run(Section::micro);
  for (std::size_t v = 0; v < whole.program().values.size(); ++v) {
    const ValueId value{static_cast<int>(v)};
    if (whole.program().value(value).role == Role::scalar) continue;  // sums over rows
    std::vector<std::byte> joined;
    for (const auto& piece : values_by_micro_step(parts, value))
      joined.insert(joined.end(), piece.begin(), piece.end());
    EXPECT_TRUE(joined == whole.bytes(value)) << whole.program().value(value).name << " has other rows in micro-steps";
  }
}

}  // namespace stepscope::testing
