// Which ranges of a step hold which: the tree step > micro-step > phase > layer by layer > operation, laid out along the program.
//     const Nesting nesting = nesting_of(program);
//     for (int r : nesting.opens_before(i)) nesting.ranges[r].name ...      // and nesting.closes_after[i] ranges end after i
// What NVTX ranges and trace files share. A layer's or phase's range is one unbroken run of operations.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/program/program.h"

namespace stepscope {

struct NestedRange {
  enum class Level : std::uint8_t { step, micro_step, phase, layer, operation } level = Level::operation;
  std::string name = {};  // a layer's is relative to the layer around it: "blocks.1", "mlp", "up"
  SiteId site = {};  // of a layer or an operation
  Phase phase = Phase::forward;  // of a phase, a layer or an operation
  std::int64_t flops = 0;  // of the operations inside, run once; of a step: of all its micro-steps
  std::int64_t first_bytes = 0,
               later_bytes = 0;  // the same in micro-step 0, which adds to nothing, and in each after it

  [[nodiscard]] std::int64_t bytes(int micro_step) const { return micro_step == 0 ? first_bytes : later_bytes; }
};

struct Nesting {
  std::vector<NestedRange> ranges;  // the step first, then in the order in which they open; a micro-step stands once
  std::vector<int>
      first_opened;  // by operation, and one more: ranges[first_opened[i]] is the first that opens before i
  std::vector<int> closes_after;  // by operation: how many end after it

  [[nodiscard]] std::span<const NestedRange> opens_before(int operation) const {
    const auto i = static_cast<std::size_t>(operation);
    return std::span(ranges).subspan(static_cast<std::size_t>(first_opened[i]),
                                     static_cast<std::size_t>(first_opened[i + 1] - first_opened[i]));
  }
};

[[nodiscard]] Nesting nesting_of(const Program& program);

}  // namespace stepscope
