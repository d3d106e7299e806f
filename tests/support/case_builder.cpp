#include <random>

#include "model/base/half.h"
#include "model/operations/cast/cast.h"
#include "model/program/gradient.h"
#include "tests/support/operation_cases.h"
#include "tests/support/test_kinds.h"

namespace stepscope::testing {

namespace {

DType master_of(DType compute) { return compute == DType::fp64 ? DType::fp64 : DType::fp32; }

double exact_in_bf16(double x) { return static_cast<double>(to_float(to_bf16(static_cast<float>(x)))); }

Shape with_first(const Shape& shape, std::int64_t first) {
  switch (shape.rank()) {
    case 1: return {first};
    case 2: return {first, shape[1]};
    case 3: return {first, shape[1], shape[2]};
    default: return {first, shape[1], shape[2], shape[3]};
  }
}

}  // namespace

CaseBuilder::CaseBuilder(DType compute, int micro_steps)
    : b(compute, master_of(compute)), micro_steps_(micro_steps), draws_(0) {}

std::vector<double> CaseBuilder::random(std::int64_t count, double mean, double deviation) {
  std::mt19937_64 engine(++draws_);
  std::normal_distribution<double> normal(mean, deviation);
  std::vector<double> numbers(static_cast<std::size_t>(count));
  for (double& x : numbers) x = exact_in_bf16(normal(engine));
  return numbers;
}

Operand CaseBuilder::share(StateId state) const {
  Operand operand = b.operand(state);
  const Shape all = operand.view.shape;
  operand.view.shape = with_first(all, all[0] / micro_steps_);
  operand.view.micro_stride = operand.view.shape.elements();
  return operand;
}

Operand CaseBuilder::activation(const std::string& name, const Shape& shape, double mean, double deviation) {
  const Operand state = parameter(name, shape, Builder::Use::exact, mean, deviation);
  return b.operand(given(b, share(state.state()), b.compute()));
}

Operand CaseBuilder::wide_activation(const std::string& name, const Shape& shape, double mean, double deviation) {
  const Operand state = parameter(name, shape, Builder::Use::exact, mean, deviation);
  return b.operand(given(b, share(state.state()), b.statistic()));
}

Operand CaseBuilder::parameter(const std::string& name, const Shape& shape, Builder::Use use, double mean,
                               double deviation) {
  contents_[name] = random(shape.elements(), mean, deviation);
  return b.parameter(name, shape, {}, use);
}

Operand CaseBuilder::integers(const std::string& name, const Shape& shape, std::vector<double> numbers) {
  contents_[name] = std::move(numbers);
  return share(b.batch_state(name, {DType::int32, shape}));
}

Operand CaseBuilder::whole_integers(const std::string& name) const { return b.operand(b.program().find_state(name)); }

Operand CaseBuilder::mask(const Shape& shape, double visible, int hidden_row) {
  std::mt19937_64 engine(++draws_);
  std::bernoulli_distribution coin(visible);
  std::vector<double> numbers(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / shape[3] % shape[2];
    numbers[i] = row != hidden_row && coin(engine) ? 1 : 0;
  }
  contents_["mask"] = std::move(numbers);
  const StateId state = b.batch_state("mask", {DType::u8, shape});
  return shape[0] == 1 ? b.operand(state) : share(state);
}

StateId CaseBuilder::state(const std::string& name, StateKind kind, const Shape& shape, std::vector<double> numbers,
                           StateId master) {
  contents_[name] = std::move(numbers);
  extra_states_.push_back({name, {b.master(), shape}, kind, {0}, master, {}});
  return {static_cast<int>(b.program().states.size() + extra_states_.size()) - 1};
}

void CaseBuilder::project(const std::vector<ValueId>& outputs) {
  std::vector<Operand> ys, weights;
  for (const ValueId y : outputs) {
    const Shape local = b.program().value(y).type.shape;
    const Shape all = with_first(local, local[0] * micro_steps_);
    const std::string name = "weights" + std::to_string(weights.size());
    contents_[name] = random(all.elements(), 0, 1);
    weights.push_back(share(b.batch_state(name, {DType::fp64, all})));
    ys.push_back(b.operand(y));
  }
  loss_ = testing::project(b, ys, weights);
}

void CaseBuilder::update(const OperationKind& kind, const Attributes& attributes, std::vector<Operand> ins,
                         std::vector<Write> writes) {
  updates_.push_back({.kind = &kind,
                      .attributes = attributes,
                      .ins = std::move(ins),
                      .outs = {},
                      .writes = std::move(writes),
                      .site = {0},
                      .phase = Phase::update,
                      .section = Section::update});
}

CaseProgram CaseBuilder::finish() && {
  cast_copies(b);
  b.set_batch(micro_steps_, 1, micro_steps_);
  Program forward = std::move(b).finish(loss_, {});
  if (loss_.index >= 0) return {differentiate(forward, keepable(forward)), std::move(contents_)};
  forward.states.insert(forward.states.end(), extra_states_.begin(), extra_states_.end());
  forward.operations.insert(forward.operations.end(), updates_.begin(), updates_.end());
  return {std::move(forward), std::move(contents_)};
}

}  // namespace stepscope::testing
