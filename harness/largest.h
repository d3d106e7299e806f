// The largest value of one field with which a cell still fits: every answer is a plan's, none a formula's.
//     const Largest found = largest_of_cell(cell, dimension_named("batch"), machine, fit);
//     found.value;  found.next;                    // fits, does not fit
// More may need less: plans around the answer and well above and below it are made too, and what they show is told.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/cell.h"
#include "harness/fit.h"
#include "model/program/cost.h"

namespace stepscope {

struct Probe {
  enum class Verdict { fits, too_big, refused } verdict = Verdict::fits;
  std::int64_t bytes = 0;  // all that counts: states, arena and what is beside them
  bool exact = true;  // else at least so many: told from the states alone
  std::string why = {};  // of refused: which rule the value breaks
};

struct Search {
  std::int64_t value = 0;  // 0: none fits
  Probe at = {};  // of value
  std::vector<std::int64_t> holes = {};  // smaller ones that were tried and do not fit
  int probes = 0;
};
// Over 1 to `last`, from `start`. Each number is probed at most once.
[[nodiscard]] Search find_largest(std::int64_t start, std::int64_t last, std::int64_t limit_bytes,
                                  const std::function<Probe(std::int64_t)>& probe);

struct Dimension {
  std::string_view name, field;
  std::string_view about;  // one line for --help: which values are tried
};
[[nodiscard]] std::span<const Dimension> dimensions();
[[nodiscard]] const Dimension& dimension_named(const std::string& name);  // UsageError: --largest NAME: ...

struct Largest {
  std::int64_t step = 1;  // values are multiples of it
  std::int64_t last = 0;  // the largest multiple that the field permits
  std::int64_t value = 0, next = 0;  // 0: none fits; value is the last
  std::int64_t margin_bytes = 0;  // that value leaves, of the device or of the cell's own budget
  std::int64_t short_bytes = 0;  // that next lacks, or 1 step where none fits; 0: next is refused
  std::string refused = {};  // why next, or 1 step where none fits, is no value
  std::vector<std::int64_t> holes = {};  // smaller values, tried, that do not fit
  std::vector<std::string> sets = {};  // "global_batch=64": what --set needs for value
  int plans = 0;
};
[[nodiscard]] Largest largest_of_cell(const MatrixCell& cell, const Dimension& dimension, const Machine& machine,
                                      const MemoryFit& fit);

}  // namespace stepscope
