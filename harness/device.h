// Which device a command runs on: --device cpu, cuda or cuda:N; in test programs a simulated one too (simulated_device.h).
//     const Machine machine = machine_on("cuda:1", 0);
#pragma once

#include <optional>
#include <string>

#include "model/program/cost.h"

namespace stepscope {

// Which card; none for cpu. UsageError for what is no device.
[[nodiscard]] std::optional<int> card_of_device(const std::string& device);

[[nodiscard]] std::string name_of_device(const Machine& machine);  // "cpu", "cuda:1", "simulated:h100-sxm"
[[nodiscard]] std::string kind_of_device(const Machine& machine);  // "cpu", "cuda", "simulated": as records tell it

// "cpu": this processor, with what is known of its speed; 0 threads: as many as it has. Throws Unsupported where the card is not to be
// had, and says why: no CUDA in this build, no driver, no library, no such card.
[[nodiscard]] Machine machine_on(const std::string& device, int threads);

// The same, for those who start others that use the card: CUDA's context, and its memory, go with a child process.
[[nodiscard]] Machine machine_seen_by_child(const std::string& device, int threads);

}  // namespace stepscope
