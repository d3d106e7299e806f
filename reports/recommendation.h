// The answer that a report opens with: which cell to use, in a sentence with numbers, and which fits a card of each usual size.
//     const Answer answer = answer_of(run, Names(run));   fmt::print("{}\n", answer.sentence);
// Only cells whose numerics were verified are ever recommended, and only where their times may be compared with the reference's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "reports/comparison.h"

namespace stepscope {

inline constexpr double widest_interval = 1.5;  // high / low of a ratio of times that still says something

struct Fit {  // the best cell within one memory size
  std::string size = {};  // "8 GB", "this machine (15.6 GiB)"
  std::int64_t bytes = 0;
  bool this_machine = false;
  const Cell* cell = nullptr;  // none: nothing verified fits
  std::int64_t smallest_bytes = 0;  // where nothing fits: what the smallest measured cell needs
};

struct Answer {
  std::string sentence = {};
  std::vector<std::string> notes = {};  // what a reader must know beside it, each a sentence
  const Cell* baseline = nullptr;  // the reference cell; none in a run without one
  const Cell* best = nullptr;  // the fastest verified cell; none where nothing was verified
  std::optional<Interval> speed = {};  // of the best, the reference's being 1
  bool settled = false;  // best is what the sentence advises, not only the fastest that was seen
  std::vector<const Cell*> frontier = {};  // from the smallest to the fastest
  std::vector<Fit> fits = {};
};

// A size of N GB counts N 10^9 bytes: cards hold about 7 % more than that, which is left to the context and the libraries.
inline constexpr int memory_sizes_gb[] = {8, 12, 16, 24, 40, 80};

[[nodiscard]] Answer answer_of(const MeasuredRun& run, const Names& names);

}  // namespace stepscope
