// attention forward and backward under a causal mask, fused and materialised, in FLOP/s of the matmuls that a causal mask leaves.
// Arguments: batch, sequence, heads, head_dim, threads. 8 x 128 x 4 x 64 is a step of seed-small, 2 x 512 x 8 x 128 an eighth of a micro-step of seed.
#include "model/operations/attention/attention.h"

#include "model/operations/materialised_attention/materialised_attention.h"
#include "tests/benchmarks/operation_bench.h"

namespace stepscope {

namespace {

void sizes(benchmark::internal::Benchmark* benchmark) {
  for (const int threads : {1, 2}) {
    benchmark->Args({8, 128, 4, 64, threads});
    benchmark->Args({2, 512, 8, 128, threads});
  }
  benchmark->ArgNames({"batch", "sequence", "heads", "head_dim", "threads"})->UseRealTime();
}

enum Pass : std::size_t { forward, backward };  // also the operations' order in the bench

void attention_speed(benchmark::State& state, DType dtype, Pass pass, bool materialised) {
  const std::int64_t B = state.range(0), S = state.range(1), heads = state.range(2), D = state.range(3);
  OperationBench bench(static_cast<int>(state.range(4)));
  const Operand packed = bench.value({dtype, {B, S, heads * 3 * D}}), dout = bench.value({dtype, {B, S, heads * D}});
  std::vector<Operand> ins(3, packed);
  for (std::int64_t part = 0; part < 3; ++part)
    ins[static_cast<std::size_t>(part)].view = {
        .offset = part * D, .shape = {B, S, heads, D}, .strides = {S * heads * 3 * D, heads * 3 * D, 3 * D, 1}};
  const Attributes attributes{
      .scale = 0.125, .heads = static_cast<int>(heads), .head_dim = static_cast<int>(D), .mask = {.causal = true}};
  const OperationKind& kind = materialised ? materialised_attention_kind : attention_kind;
  const OperationKind& gradient = materialised ? materialised_attention_gradient_kind : attention_gradient_kind;
  const std::vector<Operand> outs = bench.add(kind, attributes, ins);
  ins.insert(ins.begin(), dout);
  ins.insert(ins.end(), materialised ? outs.begin() + 1 : outs.begin(), outs.end());
  bench.add(gradient, attributes, ins);
  bench.run(forward);
  for (auto _ : state) bench.run(pass);
  const double matmuls = pass == forward ? 2 : materialised ? 4 : 5;
  const double flops = matmuls * static_cast<double>(B * heads * S * S * D);  // 2 a multiply-add, half of the pairs
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_CAPTURE(attention_speed, fp32_forward, DType::fp32, forward, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_speed, fp32_backward, DType::fp32, backward, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_speed, bf16_forward, DType::bf16, forward, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_speed, bf16_backward, DType::bf16, backward, false)->Apply(sizes);
BENCHMARK_CAPTURE(attention_speed, fp32_materialised_forward, DType::fp32, forward, true)->Apply(sizes);
BENCHMARK_CAPTURE(attention_speed, fp32_materialised_backward, DType::fp32, backward, true)->Apply(sizes);

}  // namespace

}  // namespace stepscope
