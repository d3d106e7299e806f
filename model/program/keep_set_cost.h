// What a keep-set costs, found in microseconds: the bytes and the repeats of its step without building and placing that step. For those
// who compare thousands; what is chosen is then planned for real.
//     const KeepSetCost cost(forward, step, roofline_times(step, card));     // step: lowered, keeps everything
//     cost.of(keep).largest_sum_bytes;      // = plan_memory(the step of keep).largest_sum_bytes
// A slice is a run of forward operations with the backward operations that belong to them. Beside a whole step it counts what it adds
// to what earlier operations left.
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
    std::int64_t kept_bytes = 0;  // that the slice's forward leaves for backward, its own and later ones'; of a whole step 0
    double repeated_ns = 0;  // of the operations that are run again, in one micro-step
  };

  struct Slice {
    std::vector<int> operations;  // of the step, in its order
    std::size_t forward_count = 0;  // the first so many are forward
    std::vector<char> read_later;  // by value: whether operations after the slice's last read it
    std::vector<char> read_between;  // by value: whether operations between its forward and its backward read it
    std::vector<char> left_over;  // by value: whether backward operations among those do: the cut that it ends with
  };

  // Whether a forward value stays until backward, by value. Values that backward never reads stay no longer than forward needs them.
  using Kept = std::vector<char>;

  KeepSetCost(const Program& forward, const Program& step, const OperationTimes& times);

  [[nodiscard]] Slice whole() const;
  [[nodiscard]] Slice slice(int first, int past) const;  // operations of the forward program
  [[nodiscard]] Kept kept(const KeepSet& keep) const;
  [[nodiscard]] Cost of(const Slice& slice, const Kept& kept) const;
  [[nodiscard]] Cost of(const KeepSet& keep) const { return of(whole_, kept(keep)); }

 private:
  struct Op {
    std::vector<int> ins, outs;  // values; each operand once, in order
    std::vector<InPlace> in_place;  // those that sizes and views permit: numbers of outs and of values
    std::int64_t workspace_bytes = 0;
    Section section = Section::micro;
    bool backward = false;
    double ns = 0;
  };
  struct Run;

  std::vector<Op> operations_;  // of the step
  std::vector<int> step_operation_;  // forward operation -> step operation
  std::vector<int> forward_operation_;  // step operation -> the forward one that it is or differentiates, else -1
  std::vector<int> producer_;  // value -> step operation, -1
  std::vector<std::int64_t> bytes_;  // by value, rounded up to 256
  std::vector<char>
      stays_;  // forward values whose operation writes a state, and those of other sections: never repeated
  int forward_values_ = 0;
  Slice whole_;
};

}  // namespace stepscope
