// Texts that a model in training writes, kept in OUT/samples.csv: a row each, step and text.
//     Samples samples(cell.configuration, machine, {.count = 200}, "In the beginning", out / "samples.csv");
//     say(samples.write(step, program, executor));
//     samples.save();                  // whole, atomically
// A text, or tokens with a tokenizer of their own, give text; others the tokens' numbers. Throws UsageError: a prompt where there is no
// text, a mask that is not causal.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "harness/cell.h"
#include "model/training/sampler.h"
#include "model/training/tokenizer.h"

namespace stepscope {

class Samples {
 public:
  Samples(const Configuration& configuration, const Machine& machine, const SamplingSettings& settings,
          const std::string& prompt, std::filesystem::path file);

  void resume(std::int64_t step);  // keeps the file's rows up to that step
  [[nodiscard]] std::string write(std::int64_t step, const Program& trained, const Executor& parameters);
  void save() const;

 private:
  std::unique_ptr<Tokenizer> tokenizer_;  // nothing: tokens have no text
  Sampler sampler_;
  SamplingSettings settings_;
  std::vector<std::int32_t> prompt_;
  std::filesystem::path file_;
  std::string rows_;
};

}  // namespace stepscope
