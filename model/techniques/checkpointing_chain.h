// A forward pass as a chain of elements, for choosing which activations to keep. Elements meet at cuts: values that alone carry the
// forward pass on, in a transformer the residual stream between its sub-blocks. Whatever lies between two kept cuts, a segment, costs
// the same whatever is kept elsewhere, so segments can be measured once and joined (checkpointing_budget.h).
//     const CheckpointingChain chain(forward, cost);       // cost: KeepSetCost of the step that keeps everything
//     for (const Segment& segment : chain.segments(e)) ...     // those that begin with element e
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "model/program/keep_set_cost.h"

namespace stepscope {

// Some elements in a row between two kept cuts, and which values inside are not kept. Cuts inside are not.
struct Segment {
  int elements = 0;
  std::int64_t kept_bytes = 0;  // that it leaves for its backward
  std::int64_t largest_bytes = 0;  // live at once in its forward or backward, beside what earlier segments keep
  double repeated_ns = 0;  // a micro-step
  std::uint64_t dropped = 0;  // bit i: the i-th group of values inside
};

class CheckpointingChain {
 public:
  static constexpr int longest_segment = 4;  // elements that have values inside: two blocks of a transformer

  CheckpointingChain(const Program& forward, const KeepSetCost& cost);

  [[nodiscard]] int size() const { return static_cast<int>(elements_.size()); }
  // Those that begin with this element, less every one that another of its length is no worse than in bytes and time.
  [[nodiscard]] const std::vector<Segment>& segments(int element) const {
    return menus_[static_cast<std::size_t>(menu_of_[static_cast<std::size_t>(element)])];
  }
  // Takes what the segment that begins with `element` does not keep out of `keep`.
  void drop(int element, const Segment& segment, KeepSet& keep) const;

 private:
  struct Element {
    int first = 0, past = 0;  // forward operations
    std::vector<std::vector<ValueId>>
        groups;  // keepable values of one operation: kept or run again together; less the cut
    std::vector<ValueId> end;  // keepable values of the operation that makes its last cut
    int kind = 0;  // equal for equal operations on equal types
  };
  void find_elements(const Program& forward, const KeepSet& keepable);
  void find_kinds(const Program& forward);
  [[nodiscard]] int longest_from(int element) const;  // elements
  [[nodiscard]] std::vector<std::vector<std::size_t>> choices_in(int element, int length) const;
  [[nodiscard]] std::vector<Segment> measured(const KeepSetCost& cost, int element, int length) const;

  std::vector<Element> elements_;
  std::vector<std::vector<Segment>> menus_;
  std::vector<int> menu_of_;  // by element
  KeepSet keepable_;
};

}  // namespace stepscope
