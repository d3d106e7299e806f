// Speed of the matmuls of a linear layer at the shapes of a step: forward, gradient of the input, gradient of the weight.
//     stepscope_benchmarks --benchmark_filter=matmul
// Arguments: tokens of a micro-step, in, out, threads. matmul_primitive is the bar to hold: all of the forward matmul as one call.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "model/cpu/machine.h"
#include "model/cpu/matmul.h"
#include "model/cpu/threads.h"

namespace stepscope {
namespace {

struct Free {
  void operator()(std::byte* bytes) const { std::free(bytes); }
};
using Bytes = std::unique_ptr<std::byte, Free>;

Bytes zeros(std::int64_t size) {
  const auto rounded = static_cast<std::size_t>(round_up(size + 1, 256));
  Bytes bytes(static_cast<std::byte*>(std::aligned_alloc(256, rounded)));
  std::fill_n(bytes.get(), rounded, std::byte{0});
  return bytes;
}

void set_rate(benchmark::State& state, const MatmulSpec& s) {
  const double flops = 2.0 * static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

void run(benchmark::State& state, const MatmulSpec& spec, int thread_count) {
  const Machine machine = this_cpu(thread_count);
  Threads threads(thread_count);
  const Bytes a = zeros(spec.m * spec.k * size_bytes(spec.in)), b = zeros(spec.k * spec.n * size_bytes(spec.in));
  const Bytes c = zeros(spec.m * spec.n * size_bytes(spec.out)), bias = zeros(spec.n * size_bytes(spec.in));
  const Bytes workspace = zeros(matmul_workspace(spec, machine));
  const Matmul matmul(spec, machine);
  for (auto _ : state)
    matmul.run(threads, {.a = a.get(), .b = b.get(), .c = c.get(), .bias = bias.get(), .workspace = workspace.get()});
  set_rate(state, spec);
}

struct Layer {
  std::int64_t tokens, in, out;
  int threads;
};
Layer layer_of(const benchmark::State& state) {
  return {state.range(0), state.range(1), state.range(2), static_cast<int>(state.range(3))};
}

template <DType dtype>
void matmul_forward(benchmark::State& state) {
  const Layer l = layer_of(state);
  run(state,
      {.m = l.tokens,
       .n = l.out,
       .k = l.in,
       .a_stride = l.in,
       .b_stride = l.out,
       .c_stride = l.out,
       .in = dtype,
       .out = dtype,
       .bias = true},
      l.threads);
}

template <DType dtype>
void matmul_input_gradient(benchmark::State& state) {
  const Layer l = layer_of(state);
  run(state,
      {.m = l.tokens,
       .n = l.in,
       .k = l.out,
       .transpose_b = true,
       .a_stride = l.out,
       .b_stride = l.out,
       .c_stride = l.in,
       .in = dtype,
       .out = dtype},
      l.threads);
}

template <DType dtype>
void matmul_weight_gradient(benchmark::State& state) {
  const Layer l = layer_of(state);
  run(state,
      {.m = l.in,
       .n = l.out,
       .k = l.tokens,
       .transpose_a = true,
       .a_stride = l.in,
       .b_stride = l.out,
       .c_stride = l.out,
       .in = dtype,
       .out = DType::fp32,
       .may_add = true},
      l.threads);
}

// The bar to hold: the forward matmul as a single oneDNN primitive, which is one tile of all rows and columns.
template <DType dtype>
void matmul_primitive(benchmark::State& state) {
  const Layer l = layer_of(state);
  const TileSpec spec{.m = l.tokens,
                      .n = l.out,
                      .k = l.in,
                      .a_stride = l.in,
                      .b_stride = l.out,
                      .c_stride = l.out,
                      .in = dtype,
                      .out = dtype};
  const auto tile = TileMatmul::get(spec);
  const TileMatmul::Call call(tile);
  const Bytes a = zeros(spec.m * spec.k * size_bytes(dtype)), b = zeros(spec.k * spec.n * size_bytes(dtype));
  const Bytes c = zeros(spec.m * spec.n * size_bytes(dtype)), scratch = zeros(tile->scratch_bytes());
  for (auto _ : state) call.run(a.get(), b.get(), c.get(), nullptr, scratch.get());
  set_rate(state, {.m = spec.m, .n = spec.n, .k = spec.k});
}

void shapes_of_steps(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"tokens", "in", "out", "threads"})->UseRealTime();
  for (const int threads : {1, 2})
    for (const std::int64_t tokens : {256, 1024})
      for (const auto& [in, out] : {std::pair{256, 1024}, {1024, 256}, {256, 768}, {256, 256}})
        benchmark->Args({tokens, in, out, threads});
  benchmark->Args({2048, 1024, 4096, 2})->Args({2048, 4096, 1024, 2});
}

BENCHMARK(matmul_forward<DType::fp32>)->Apply(shapes_of_steps);
BENCHMARK(matmul_input_gradient<DType::fp32>)->Apply(shapes_of_steps);
BENCHMARK(matmul_weight_gradient<DType::fp32>)->Apply(shapes_of_steps);
BENCHMARK(matmul_forward<DType::bf16>)->Apply(shapes_of_steps);
BENCHMARK(matmul_input_gradient<DType::bf16>)->Apply(shapes_of_steps);
BENCHMARK(matmul_weight_gradient<DType::bf16>)->Apply(shapes_of_steps);
BENCHMARK(matmul_primitive<DType::fp32>)
    ->ArgNames({"tokens", "in", "out", "threads"})
    ->Args({1024, 256, 1024, 1})
    ->Args({1024, 1024, 256, 1});

void thread_handover(benchmark::State& state) {
  Threads threads(static_cast<int>(state.range(0)));
  for (auto _ : state)
    threads.parallel_for(state.range(0), [](std::int64_t index) { benchmark::DoNotOptimize(index); });
}
BENCHMARK(thread_handover)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace stepscope
