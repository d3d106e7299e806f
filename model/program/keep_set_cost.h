// What a keep-set costs, found in microseconds: the bytes and the repeats of its step without building and placing that step. For those
// who compare thousands; what is chosen is then planned for real.
//     const KeepSetCost cost(forward, step, roofline_times(step, card));     // step: lowered, keeps everything
//     cost.of(keep).largest_sum_bytes;      // = plan_memory(the step of keep).largest_sum_bytes
// A slice is a run of forward operations with the backward operations that belong to them; its costs are what it adds to what earlier
// operations left.
#pragma once

#include <cstdint>
#include <vector>

#include "model/program/cost.h"
#include "model/program/gradient.h"

namespace stepscope {

class KeepSetCost {
 public:
  struct Cost {
    std::int64_t largest_sum_bytes = 0;  // live at once, workspaces included
    std::int64_t kept_bytes =
        0;  // that a slice's forward leaves for backward, its own and later ones'; of a whole step 0
    double repeated_ns = 0;  // of the operations that are run again, in one micro-step
  };

  // Which forward values stay until backward, by number(value). Others are made again where backward reads them.
  using Kept = std::vector<char>;

  KeepSetCost(const Program& forward, const Program& step, const OperationTimes& times);
  [[nodiscard]] KeepSetCost slice(int first, int past) const;  // operations of the forward program

  [[nodiscard]] Kept kept(const KeepSet& keep) const;
  [[nodiscard]] int number(ValueId id) const {
    return numbers_[static_cast<std::size_t>(id.index)];
  }  // -1: not in the slice
  [[nodiscard]] Cost of(const Kept& kept) const;
  [[nodiscard]] Cost of(const KeepSet& keep) const { return of(kept(keep)); }

 private:
  struct Op {
    std::vector<int> ins, outs;  // values; each operand once, in order
    std::vector<InPlace> in_place;  // those that sizes and views permit: numbers of outs and of values
    std::int64_t workspace_bytes = 0;
    Section section = Section::micro;
    bool backward = false;
    int forward = -1;  // the operation of the forward program that it is or differentiates
    double ns = 0;
  };
  struct Val {
    std::int64_t bytes = 0;  // rounded up to 256
    int producer = -1;  // operation; -1: from outside
    Section section = Section::micro;  // of its producer
    bool forward = false;  // made by the forward pass
    bool stays = false;  // its operation writes a state: never run again
    // Of a slice: whether operations behind it read the value, whether any between its forward and its backward do, and whether backward
    // ones are among those: the cut that it ends with.
    bool read_later = false, read_between = false, left_over = false;
  };
  struct Run;
  KeepSetCost() = default;

  std::vector<Op> operations_;
  std::vector<Val> values_;
  std::vector<int> numbers_;  // by value of the program
  std::size_t forward_count_ = 0;  // of a slice: its first operations, before its backward
};

}  // namespace stepscope
