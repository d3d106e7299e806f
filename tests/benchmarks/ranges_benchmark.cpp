// What NVTX ranges cost where no tool is attached: the observer as an executor calls it, and NVTX's own push and pop beneath it.
// a_range: for each of the ranges that a step of the preset tiny has; where no tool is attached a session makes no
// observer at all, so a step pays nothing. With a tool at NVTX_INJECTION64_PATH: what that tool costs.
#include "profiles/ranges.h"

#include <benchmark/benchmark.h>

#include "model/cpu/machine.h"
#include "model/layers/model_settings.h"
#include "model/training/step_program.h"
#include "profiles/nesting.h"

namespace stepscope {

namespace {

Program tiny_program() {
  const Preset& preset = preset_named("tiny");
  const ModelSettings model = resolved(preset.model);
  StepRecipe recipe;
  recipe.keep = keepable;
  return build_step(model, {.global_batch = preset.global_batch, .sequence = model.max_sequence}, recipe, this_cpu(1))
      .program;
}

void ranges_of_a_step(benchmark::State& state) {
  const Program program = tiny_program();
  Ranges ranges(program);
  Observer* observer = &ranges;
  benchmark::DoNotOptimize(observer);  // called as an executor calls it
  const auto operations = static_cast<int>(program.operations.size());
  for (auto _ : state) {
    observer->step_begins();
    for (int i = 0; i < operations; ++i) {
      observer->operation_begins(i, 0);
      observer->operation_ends(i, 0);
    }
    observer->step_ends();
  }
  const double count = static_cast<double>(nesting_of(program).ranges.size()) * static_cast<double>(state.iterations());
  state.counters["a_range"] = benchmark::Counter(count, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.SetLabel(ranges.attached() ? "a tool is attached" : "no tool");
}

BENCHMARK(ranges_of_a_step);

}  // namespace

}  // namespace stepscope
