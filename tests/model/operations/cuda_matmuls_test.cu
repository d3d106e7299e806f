// The descriptors of all matmuls of all presets: the real library makes them and checks attributes and their sizes, the stand-in their
// values, when an algorithm is asked for. Whether a card has an algorithm for each of them only a card can tell.
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "model/cuda/machine.h"
#include "model/cuda/matmul.cuh"
#include "model/layers/model_settings.h"
#include "model/operations/linear/linear.h"
#include "model/operations/linear/linear_matmuls.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {

namespace {

using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, DType, DType, bool, bool>;
Key key_of(const MatmulSpec& s) {
  return {s.m, s.n, s.k, s.transpose_a, s.transpose_b, s.in, s.out, s.bias, s.may_add};
}

// Of one block, the others being alike, with the head.
std::map<Key, MatmulSpec> matmuls_of(const std::string& preset, const std::string& precision) {
  StepSetting s;
  s.preset = preset;
  s.precision = precision;
  s.micro_steps = 2;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  const Step step = build(s, this_card());
  std::map<Key, MatmulSpec> found;
  for (const Operation& op : step.program.operations) {
    MatmulSpec spec;
    if (op.kind == &linear_kind)
      spec = linear_spec(step.program, op);
    else if (op.kind == &linear_weight_gradient_kind)
      spec = linear_weight_gradient_spec(step.program, op);
    else if (op.kind == &linear_input_gradient_kind)
      spec = linear_input_gradient_spec(step.program, op);
    else
      continue;
    if (spec.in != spec.out) spec.bias = false;  // linear adds it by itself
    found[key_of(spec)] = spec;
  }
  return found;
}

}  // namespace

TEST(CudaMatmuls, cublaslt_descriptors_of_every_matmul_of_the_presets_pass_the_real_librarys_setters) {
  const MatmulLibrary library;
  const DeviceMemory anywhere(256);
  const CudaMatmulAddresses at{anywhere.data(), anywhere.data(), anywhere.data(), anywhere.data(), anywhere.data()};
  for (const Preset& preset : presets())
    for (const char* const precision : {"fp32", "tf32", "bf16", "fp16"}) {
      int adding = 0, transposed = 0;
      const std::map<Key, MatmulSpec> specs = matmuls_of(std::string(preset.name), precision);
      EXPECT_GE(specs.size(), 9U) << preset.name;  // three each of at least three
      for (const auto& [key, spec] : specs) {
        EXPECT_NO_THROW(CudaMatmul(library, spec, std::string(precision) == "tf32", at))
            << preset.name << " " << precision;
        adding += spec.may_add ? 1 : 0, transposed += spec.transpose_a || spec.transpose_b ? 1 : 0;
      }
      EXPECT_GT(adding, 0);
      EXPECT_GT(transposed, adding);
    }
}

TEST(CudaMatmuls, what_the_library_cannot_describe_is_an_error_of_the_machine) {
  const MatmulLibrary library;
  const DeviceMemory anywhere(256);
  const CudaMatmulAddresses at{anywhere.data(), anywhere.data(), anywhere.data(), anywhere.data(), anywhere.data()};
  const MatmulSpec sound{.m = 8, .n = 8, .k = 8, .a_stride = 8, .b_stride = 8, .c_stride = 8};
  EXPECT_NO_THROW(CudaMatmul(library, sound, false, at));
  MatmulSpec exact = sound;
  exact.in = exact.out = DType::fp64;
  EXPECT_THROW(CudaMatmul(library, exact, false, at), Unsupported);
  MatmulSpec narrow = sound;
  narrow.a_stride = 4;  // below the width
  EXPECT_THROW(CudaMatmul(library, narrow, false, at), std::exception);
}

}  // namespace stepscope::testing
