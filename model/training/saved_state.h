// What a training run needs to go on as if it had never stopped, in one safetensors file: parameters and moments as the caller names them,
// the counters, the seed, and the configuration that all of it belongs to.
//     write_saved_state("run/state.safetensors", state);                        // the old file stays until the new one is whole
//     const SavedState state = read_saved_state("run/state.safetensors", configuration);
// There is no position in the data: a batch is a function of (seed, step). A configuration is lines of `key = value`; a file of another
// one is refused with a UsageError that names the first key that differs, and so is a file of another version of this format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "model/training/safetensors.h"

namespace stepscope {

struct SavedState {
  std::vector<NamedTensor> tensors;
  std::int64_t step = 0;  // attempted steps so far: the next batch is that of this step
  std::int64_t updates = 0;  // applied updates so far
  std::uint64_t seed = 0;
  std::string configuration;
  double loss_scale = 1;  // of the next step; 1 without loss scaling
  std::int64_t clean_steps = 0;  // since it was last changed
};

void write_saved_state(const std::filesystem::path& path, const SavedState& state);
// `may_differ`: keys whose values may be others than when the file was written.
[[nodiscard]] SavedState read_saved_state(const std::filesystem::path& path, const std::string& configuration,
                                          const std::set<std::string>& may_differ = {});

}  // namespace stepscope
