#include "tests/support/card_beside.cuh"

#include <gtest/gtest.h>

#include <cstring>

#include "model/base/tolerance.h"
#include "model/operations/cuda_workspace.h"
#include "tests/support/naive/naive_operations.h"
#include "tests/support/on_card.cuh"
#ifndef __CUDACC__
#include "tests/support/host_simt/scheduler.cuh"
#endif

namespace stepscope::testing {

namespace {

// What the host has in memory of a card's own, and back.
class Mirror {
 public:
  Mirror(const std::byte* host, std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)), device_(bytes_) {
    STEPSCOPE_CUDA(cudaMemcpy(device_.data(), host, bytes_, cudaMemcpyHostToDevice));
  }
  [[nodiscard]] std::byte* data() const { return device_.data(); }
  [[nodiscard]] std::vector<std::byte> read() const {
    std::vector<std::byte> bytes(bytes_);
    STEPSCOPE_CUDA(cudaMemcpy(bytes.data(), device_.data(), bytes_, cudaMemcpyDeviceToHost));
    return bytes;
  }

 private:
  std::size_t bytes_;
  DeviceMemory device_;
};

struct Operands {  // by operand: views of one state or value are of one mirror
  std::map<std::pair<Operand::Of, int>, Mirror> mirrors;

  Mirror& of(Operand::Of kind, int index, const std::byte* host, std::int64_t bytes) {
    return mirrors.try_emplace({kind, index}, host, bytes).first->second;
  }
};

std::int64_t offset_bytes(const Program& program, const Operand& in) {
  return in.view.offset * size_bytes(program.type(in).dtype);
}

void expect_close(const std::string& what, const std::vector<double>& got, const std::vector<double>& expected,
                  DType compute, const char* whose) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_TRUE(close(got[i], expected[i], compute))
        << what << "[" << i << "]: " << got[i] << " on a card, " << expected[i] << " " << whose;
}

std::string name_of(const Operation& op, const std::string& what) { return std::string(op.kind->name) + " " + what; }

std::vector<double> results_of(const ControlBlock& control) {
  return {control.token_count,
          control.loss_sum,
          control.gradient_norm,
          control.clip_factor,
          control.loss_scale,
          static_cast<double>(control.clean_steps),
          static_cast<double>(control.found_inf),
          static_cast<double>(control.skips)};
}

}  // namespace

CardBeside::Outcome CardBeside::run(const Operation& op, const OperationBinding& cpu, const InPlace* over) {
  const Program& program = *cpu.program;
  Operands operands;
  const Mirror control(reinterpret_cast<const std::byte*>(cpu.control), sizeof(ControlBlock));
  CudaBinding card;
  card.program = &program;
  card.operation = &op;
  card.control = reinterpret_cast<ControlBlock*>(control.data());
  card.matmuls = &matmuls_;
  card.cudnn = &cudnn_;
  std::vector<DeviceMemory> fresh;
  std::vector<std::byte*> unaltered;
  for (std::size_t i = 0; i < op.ins.size(); ++i) {
    const Operand& in = op.ins[i];
    const std::int64_t offset = offset_bytes(program, in);
    Mirror& mirror = operands.of(in.of, in.index, cpu.ins[i] - offset, program.type(in).size_bytes());
    card.ins.push_back(mirror.data() + offset);
  }
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    const StateId state = op.writes[w].state;
    card.writes.push_back(
        operands.of(Operand::Of::state, state.index, cpu.writes[w], program.state(state).type.size_bytes()).data());
  }
  for (std::size_t o = 0; o < op.outs.size(); ++o) {
    fresh.emplace_back(static_cast<std::size_t>(program.value(op.outs[o]).type.size_bytes()));
    card.outs.push_back(fresh.back().data());
  }
  if (over != nullptr) card.outs[static_cast<std::size_t>(over->out)] = card.ins[static_cast<std::size_t>(over->in)];
  const std::int64_t workspace = cuda_workspace_bytes(program, op);
  if (workspace > 0) {
    fresh.emplace_back(static_cast<std::size_t>(workspace));
    card.workspace = fresh.back().data();
  }
  const CudaRun issue = cuda_row_of(*op.kind).bind(card);
  issue({stream_.get(), cpu.control->micro_step == 0});
  stream_.synchronise();

  Outcome outcome;
  const auto read = [](const std::byte* from, std::int64_t bytes) {
    Bytes held(static_cast<std::size_t>(bytes));
    STEPSCOPE_CUDA(cudaMemcpy(held.data(), from, held.size(), cudaMemcpyDeviceToHost));
    return held;
  };
  for (std::size_t o = 0; o < op.outs.size(); ++o)
    outcome.outs.push_back(read(card.outs[o], program.value(op.outs[o]).type.size_bytes()));
  for (std::size_t w = 0; w < op.writes.size(); ++w)
    outcome.writes.push_back(read(card.writes[w], program.state(op.writes[w].state).type.size_bytes()));
  const Bytes block = control.read();
  std::memcpy(&outcome.control, block.data(), sizeof(ControlBlock));
  if (over == nullptr)
    for (std::size_t i = 0; i < op.ins.size(); ++i) {
      const Operand& in = op.ins[i];
      const bool written = std::any_of(op.writes.begin(), op.writes.end(),
                                       [&](const Write& write) { return write.state == in.state(); });
      const std::byte* const host = cpu.ins[i] - offset_bytes(program, in);
      const Bytes bytes = operands.mirrors.at({in.of, in.index}).read();
      EXPECT_TRUE(written || std::equal(bytes.begin(), bytes.end(), host)) << op.kind->name << ": operand " << i;
    }
  return outcome;
}

void CardBeside::expect_same_bits(const Outcome& a, const Outcome& b, const std::string& where) {
  EXPECT_TRUE(a.outs == b.outs && a.writes == b.writes &&
              std::memcmp(&a.control, &b.control, sizeof(ControlBlock)) == 0)
      << "other bits " << where;
}

void CardBeside::expect_naive(const Operation& op, const OperationBinding& before, const Outcome& outcome,
                              DType compute) {
  const NaiveTwin twin = naive_twin(op.kind->name);
  if (twin == nullptr) return;  // NaiveOperations.has_a_twin_of_every_kind_of_a_card fails
  const Program& program = *before.program;
  NaiveRun naive = naive_run_of(before);
  twin(naive);
  for (std::size_t o = 0; o < op.outs.size(); ++o) {
    const Value& value = program.value(op.outs[o]);
    expect_close(name_of(op, value.name), naive_numbers(outcome.outs[o].data(), value.type), naive.out(o), compute,
                 "by plain loops");
  }
  for (std::size_t w = 0; w < op.writes.size(); ++w) {
    if (op.writes[w].state == program.results) continue;
    const State& state = program.state(op.writes[w].state);
    expect_close(name_of(op, state.name), naive_numbers(outcome.writes[w].data(), state.type), naive.writes[w].numbers,
                 compute, "by plain loops");
  }
  expect_close(name_of(op, "results"), results_of(outcome.control), results_of(naive.control), DType::fp32,
               "by plain loops");
}

GuardedMachine::Beside CardBeside::beside(DType compute) {
  return [this, compute](const Operation& op, const OperationBinding& cpu) -> std::function<void()> {
    const auto rows = cuda_operation_list();
    if (std::none_of(rows.begin(), rows.end(), [&](const CudaRow& row) { return row.kind == op.kind; })) return {};
    if (op.kind->copies) return {};  // between memories, and all of these are the card's: whole steps show them
    ++operations_;
    const Outcome outcome = run(op, cpu, nullptr);
    for (std::size_t o = 0; o < op.outs.size(); ++o) outs_[op.outs[o].index] = outcome.outs[o];
#if !defined(__CUDACC__) && !defined(STEPSCOPE_SANITIZED)  // sanitizers see in any order what they see in one
    for (const host_simt::Order order : {host_simt::Order::reverse, host_simt::Order::shuffled}) {
      host_simt::options() = {.order = order, .seed = 3, .eager = order == host_simt::Order::reverse};
      expect_same_bits(run(op, cpu, nullptr), outcome, std::string(op.kind->name) + " in another order of threads");
    }
#endif
#ifndef __CUDACC__
    host_simt::options() = {.order = host_simt::Order::reverse};  // outputs over operands: the last thread first
#endif
    for (const InPlace& rule : op.kind->in_place) {
      if (rule.in >= static_cast<int>(op.ins.size())) continue;
      const Operand& in = op.ins[static_cast<std::size_t>(rule.in)];
      const DType out = cpu.out_type(rule.out).dtype;
      if (!in.is_value() || size_bytes(cpu.program->type(in).dtype) != size_bytes(out)) continue;
      expect_same_bits(run(op, cpu, &rule), outcome, std::string(op.kind->name) + " over an operand");
    }
#ifndef __CUDACC__
    host_simt::options() = {};
#endif
    if (with_loops_) expect_naive(op, cpu, outcome, compute);
    return [&op, cpu, outcome, compute] {
      const Program& program = *cpu.program;
      const auto expect_machines_agree = [&](const std::string& what, const Bytes& card, const std::byte* host,
                                             const TensorType& type) {
        expect_close(name_of(op, what), numbers_at(card.data(), type), numbers_at(host, type), compute, "on the CPU");
      };
      for (std::size_t o = 0; o < op.outs.size(); ++o)
        expect_machines_agree(program.value(op.outs[o]).name, outcome.outs[o], cpu.outs[o],
                              program.value(op.outs[o]).type);
      for (std::size_t w = 0; w < op.writes.size(); ++w) {
        if (op.writes[w].state == program.results) continue;
        const State& state = program.state(op.writes[w].state);
        expect_machines_agree(state.name, outcome.writes[w], cpu.writes[w], state.type);
      }
      expect_close(name_of(op, "results"), results_of(outcome.control), results_of(*cpu.control), DType::fp32,
                   "on the CPU");
      EXPECT_EQ(std::memcmp(&outcome.control, cpu.control, static_cast<std::size_t>(control_bytes)), 0)
          << op.kind->name;
    };
  };
}

}  // namespace stepscope::testing
