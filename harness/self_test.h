// Measures how often `compare` is wrong here: pairs of runs of a small model that this program makes itself, one after the other.
//     const SelfTest test = run_self_test({.machine = machine, .folder = "/tmp/x", .pairs = 20}, say);
//     keep_self_test(machine, test);
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "model/program/cost.h"
#include "reports/self_test.h"

namespace stepscope {

struct SelfTestRequest {
  Machine machine;
  std::filesystem::path folder;  // of its own; the runs are made in it and removed
  int pairs = 20;
  std::vector<double> extra_work = {0, 0.02, 0.05};
  int rounds = 5, timed_steps = 20;
};

// `say` gets a line for each pair. Nothing when it was interrupted.
[[nodiscard]] std::optional<SelfTest> run_self_test(const SelfTestRequest& request,
                                                    const std::function<void(const std::string&)>& say);

[[nodiscard]] std::filesystem::path kept_self_test_file(const Machine& machine);  // "": nowhere
[[nodiscard]] std::optional<SelfTest> kept_self_test(const Machine& machine);  // none: not made here, or unreadable
std::string keep_self_test(const Machine& machine, const SelfTest& test);  // "" or why it could not be kept

}  // namespace stepscope
