// Simulated cards by name: --device simulated:CARD, or simulated:CARD,costed where kernels are costed and nothing is computed. CARD is one
// of `devices --cards`, or a file of the user's own. Only the test program stepscope_simulated has them.
#pragma once

#include <string>

#include "model/program/cost.h"

namespace stepscope {

[[nodiscard]] bool names_simulated(const std::string& device);

// Throws UsageError for a card that is not known, Unsupported in a program that simulates none.
[[nodiscard]] Machine simulated_machine(const std::string& device);

// Whether numbers come out of its steps.
[[nodiscard]] bool computes(const Machine& machine);

// How a trace's times were come by: "measured", or what a simulated card makes them of.
[[nodiscard]] std::string times_in_words(const Machine& machine);
// For what needs numbers, or time that passes: throws UsageError naming `what` on a card that computes none, or on any simulated one.
void require_computing(const Machine& machine, const std::string& what);
void require_real(const Machine& machine, const std::string& what);

// Whether records of the machine may hold a time that no hardware took.
[[nodiscard]] inline bool is_simulated(const Machine& machine) { return machine.simulation != nullptr; }

}  // namespace stepscope
