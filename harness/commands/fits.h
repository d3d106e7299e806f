// What stepscope plan says of a device's memory: what counts beside a step, and the largest value of a field that fits.
#pragma once

#include <string>

#include "harness/fit.h"
#include "harness/largest.h"
#include "harness/planned.h"

namespace stepscope {

// What there is, what counts beside a step of these states, what is left for it: each with basis and source.
[[nodiscard]] std::string fit_json(const MemoryFit& fit, std::int64_t state_bytes);

void print_fit(const MemoryFit& fit);  // two lines: what there is, what counts beside, what is left
void print_plan_json(const PlannedCell& planned, const MemoryFit& fit);  // the record and what it has to fit: a line

void print_largest_header(const Dimension& dimension, std::size_t width);
void print_largest(const std::string& cell, const Largest& largest, std::size_t width);
void print_largest_json(const std::string& cell, const Dimension& dimension, const Largest& largest,
                        const MemoryFit& fit);

}  // namespace stepscope
