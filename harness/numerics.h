// What a cell's first step computed, small enough to keep: of every parameter's gradient its norm, its sum, a hash of its bits and a
// sketch, from which the distance to another cell's gradient is known without either gradient.
//     write_numerics(folder / "numerics.safetensors", numerics);
//     const NumericsErrors errors = compare(read_numerics(cell), read_numerics(reference));
// Sketch: element i is added, with a random sign, to one of 1,024 buckets, both drawn from (parameter, i). The norm of the difference of
// two sketches is that of the gradients to about 2 % of itself.
// Source: count sketch, Charikar, Chen, Farach-Colton 2002; its norm, Thorup and Zhang 2004, "Tabulation based 4-universal hashing".
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "harness/axes.h"
#include "model/execution/executor.h"
#include "reports/visit.h"

namespace stepscope {

inline constexpr int sketch_buckets = 1024;

struct GradientSketch {
  std::string parameter;
  double norm = 0, sum = 0;
  std::uint64_t hash = 0;  // of all bits
  std::vector<float> buckets;  // sketch_buckets of them
};

struct StepNumerics {
  double loss = 0;
  std::vector<GradientSketch> gradients;  // in the program's order
};

[[nodiscard]] GradientSketch sketch_of(const std::string& parameter, std::span<const float> gradient);
// After the first step. Gradients are read in fp32 from their states.
[[nodiscard]] StepNumerics numerics_of(const Program& program, const Executor& executor, double loss);

void write_numerics(const std::filesystem::path& file, const StepNumerics& numerics);
[[nodiscard]] StepNumerics read_numerics(const std::filesystem::path& file);

[[nodiscard]] VisitNumerics summary_of(const StepNumerics& numerics, const std::string& arithmetic);

struct NumericsErrors {
  double loss = 0;  // relative
  double gradient = 0;  // relative, of the worst parameter
  std::string worst;  // its name
};
// Throws UsageError where the two do not have the same parameters.
[[nodiscard]] NumericsErrors compare(const StepNumerics& cell, const StepNumerics& reference);

struct NumericsLimits {
  double loss = 0, gradient = 0;
};
// From the table of model/base/tolerance.h by the least exact type that the cell computes in or rounds to.
[[nodiscard]] NumericsLimits limits_of(const Configuration& configuration);

}  // namespace stepscope
