// layer_norm forward and backward, in bytes/s of the elements that each must move, beside a copy of as many bytes.
// Arguments: rows, features, threads. 8192 x 1024 is a micro-step of the preset seed, 1024 x 256 a step of seed-small.
#include "model/operations/layer_norm/layer_norm.h"

#include "tests/benchmarks/operation_bench.h"

namespace stepscope {

namespace {

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int threads : {1, 2})
    for (const auto& [rows, features] : {std::pair{1024, 256}, std::pair{8192, 1024}})
      benchmark->Args({rows, features, threads});
  benchmark->ArgNames({"rows", "features", "threads"})->UseRealTime();
}

void report_bytes(benchmark::State& state, std::int64_t bytes) { state.SetBytesProcessed(state.iterations() * bytes); }

enum Pass : std::size_t { forward, backward };  // also the operations' order in the bench
constexpr int elements_moved[] = {2, 3};  // x, y; dy, x, dx

void layer_norm_speed(benchmark::State& state, DType dtype, Pass pass) {
  const std::int64_t rows = state.range(0), features = state.range(1);
  OperationBench bench(static_cast<int>(state.range(2)));
  const TensorType activation{dtype, {rows, features}}, parameter{DType::fp32, {features}};
  const Operand scale = bench.operand(bench.state(parameter, StateKind::parameter));
  const Operand bias = bench.operand(bench.state(parameter, StateKind::parameter));
  const Operand x = bench.value(activation), dy = bench.value(activation);
  const std::vector<Operand> outs = bench.add(layer_norm_kind, {.output = dtype, .epsilon = 1e-6}, {x, scale, bias});
  bench.add(layer_norm_gradient_kind, {}, {dy, x, outs[1], outs[2], scale},
            {{bench.state(parameter, StateKind::gradient)}, {bench.state(parameter, StateKind::gradient)}});
  bench.run(forward);
  for (auto _ : state) bench.run(pass);
  report_bytes(state, elements_moved[pass] * activation.size_bytes());
}

void copy_floor(benchmark::State& state, DType dtype, Pass pass) {
  OperationBench bench(static_cast<int>(state.range(2)));
  const std::int64_t bytes = elements_moved[pass] * state.range(0) * state.range(1) * size_bytes(dtype);
  bench.copy(bytes);  // the first touches its pages
  for (auto _ : state) bench.copy(bytes);
  report_bytes(state, bytes);
}

BENCHMARK_CAPTURE(layer_norm_speed, fp32_forward, DType::fp32, forward)->Apply(sizes);
BENCHMARK_CAPTURE(copy_floor, fp32_forward, DType::fp32, forward)->Apply(sizes);
BENCHMARK_CAPTURE(layer_norm_speed, fp32_backward, DType::fp32, backward)->Apply(sizes);
BENCHMARK_CAPTURE(copy_floor, fp32_backward, DType::fp32, backward)->Apply(sizes);
BENCHMARK_CAPTURE(layer_norm_speed, bf16_forward, DType::bf16, forward)->Apply(sizes);
BENCHMARK_CAPTURE(copy_floor, bf16_forward, DType::bf16, forward)->Apply(sizes);
BENCHMARK_CAPTURE(layer_norm_speed, bf16_backward, DType::bf16, backward)->Apply(sizes);
BENCHMARK_CAPTURE(copy_floor, bf16_backward, DType::bf16, backward)->Apply(sizes);

}  // namespace

}  // namespace stepscope
