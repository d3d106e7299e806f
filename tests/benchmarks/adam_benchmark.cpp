// adam, in bytes/s of the 28 bytes a parameter that it must move, beside a copy of as many bytes.
// Arguments: parameters, threads. 3,323,648 is the preset seed-small.
#include "model/operations/adam/adam.h"

#include "tests/benchmarks/operation_bench.h"

namespace stepscope {

namespace {

constexpr std::int64_t bytes_a_parameter = 28;  // g, p, m, v in; p, m, v out

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int threads : {1, 2})
    for (const int parameters : {3323648, 33554432}) benchmark->Args({parameters, threads});
  benchmark->ArgNames({"parameters", "threads"})->UseRealTime();
}

void adam_speed(benchmark::State& state) {
  OperationBench bench(static_cast<int>(state.range(1)));
  bench.control.learning_rate = 1e-6;
  const TensorType type{DType::fp32, {state.range(0)}};
  const Operand results = bench.operand(bench.state({DType::u8, {results_bytes}}, StateKind::control));
  const Operand control = bench.operand(bench.state({DType::u8, {control_bytes}}, StateKind::control));
  const Operand gradient = bench.operand(bench.state(type, StateKind::gradient));
  const StateId p = bench.state(type, StateKind::parameter), m = bench.state(type, StateKind::moment),
                v = bench.state(type, StateKind::moment);
  bench.add(adam_kind, {.epsilon = 1e-8, .beta1 = 0.9, .beta2 = 0.999}, {control, gradient, results}, {{p}, {m}, {v}});
  for (auto _ : state) bench.run(0);
  state.SetBytesProcessed(state.iterations() * bytes_a_parameter * state.range(0));
}

void copy_floor_of_adam(benchmark::State& state) {
  OperationBench bench(static_cast<int>(state.range(1)));
  bench.copy(bytes_a_parameter * state.range(0));  // the first touches its pages
  for (auto _ : state) bench.copy(bytes_a_parameter * state.range(0));
  state.SetBytesProcessed(state.iterations() * bytes_a_parameter * state.range(0));
}

BENCHMARK(adam_speed)->Apply(sizes);
BENCHMARK(copy_floor_of_adam)->Apply(sizes);

}  // namespace

}  // namespace stepscope
