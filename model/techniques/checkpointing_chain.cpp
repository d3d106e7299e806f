#include "model/techniques/checkpointing_chain.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>
#include <tuple>
#include <utility>

namespace stepscope {

namespace {

// More groups than this are not tried in every combination: elements of one kind in a segment then choose alike.
constexpr std::size_t most_free_groups = 16;

// Equal texts: the same operations on the same types, joined in the same way, wherever they stand.
std::string description(const Program& forward, int first, int past) {
  std::map<int, std::string> made;  // value -> which output of which operation of the element
  std::string text;
  for (int i = first; i < past; ++i) {
    const Operation& op = forward.operations[static_cast<std::size_t>(i)];
    const Attributes& attributes = op.attributes;
    text += fmt::format("{} {} {} {} {} {} {} {}(", op.kind->name, name_of(attributes.output), attributes.rate > 0,
                        attributes.heads, attributes.head_dim,
                        attributes.mask.causal + 2 * attributes.mask.padding + 4 * attributes.mask.custom,
                        name_of(attributes.probabilities), attributes.algorithm);
    for (const Operand& in : op.ins) {
      const TensorType& type = forward.type(in);
      const std::string what = in.is_state()             ? std::string(name_of(forward.state(in.state()).kind))
                               : made.contains(in.index) ? made[in.index]
                                                         : "cut";
      text += fmt::format("{} {} {} {} {};", what, name_of(type.dtype), to_string(type.shape), to_string(in.view.shape),
                          in.view.offset);
    }
    text += ")";
    for (std::size_t o = 0; o < op.outs.size(); ++o) {
      made[op.outs[o].index] = fmt::format("{}.{}", i - first, o);
      text += fmt::format("{} ", to_string(forward.value(op.outs[o]).type.shape));
    }
  }
  return text;
}

// Of segments of one length those that no other is better than, or as good as and earlier, the cheapest first.
std::vector<Segment> best_of(std::vector<Segment> segments) {
  std::ranges::stable_sort(segments, {},
                           [](const Segment& s) { return std::tuple(s.repeated_ns, s.kept_bytes, s.largest_bytes); });
  std::map<std::int64_t, std::int64_t> least;  // kept bytes -> the least of the largest bytes with no more kept
  std::vector<Segment> best;
  for (const Segment& s : segments) {
    auto above = least.upper_bound(s.kept_bytes);
    if (above != least.begin() && std::prev(above)->second <= s.largest_bytes) continue;
    while (above != least.end() && above->second >= s.largest_bytes) above = least.erase(above);
    least[s.kept_bytes] = s.largest_bytes;
    best.push_back(s);
  }
  return best;
}

}  // namespace

CheckpointingChain::CheckpointingChain(const Program& forward, const KeepSetCost& cost) : keepable_(keepable(forward)) {
  find_elements(forward, keepable_);
  find_kinds(forward);
  std::map<std::vector<int>, int> known;  // kinds of the elements ahead, as far as segments reach -> menu
  for (int e = 0; e < size(); ++e) {
    std::vector<int> ahead;
    for (int i = e; i < e + longest_from(e); ++i) ahead.push_back(elements_[static_cast<std::size_t>(i)].kind);
    const auto [found, fresh] = known.try_emplace(ahead, static_cast<int>(menus_.size()));
    menu_of_.push_back(found->second);
    if (!fresh) continue;
    menus_.emplace_back();
    for (int length = 1; length <= static_cast<int>(ahead.size()); ++length)
      std::ranges::copy(best_of(measured(cost, e, length)), std::back_inserter(menus_.back()));
  }
}

void CheckpointingChain::find_elements(const Program& forward, const KeepSet& keepable) {
  std::vector<int> last_read(forward.values.size(), -1);
  for (std::size_t i = 0; i < forward.operations.size(); ++i)
    for (const Operand& in : forward.operations[i].ins)
      if (in.is_value()) last_read[static_cast<std::size_t>(in.index)] = static_cast<int>(i);
  std::vector<int> open;  // values made and still to be read
  Element element;
  for (std::size_t i = 0; i < forward.operations.size(); ++i) {
    const Operation& op = forward.operations[i];
    if (op.section != Section::micro) {
      element.first = static_cast<int>(i) + 1;
      continue;
    }
    const int now = static_cast<int>(i);
    std::erase_if(open, [&](int v) { return last_read[static_cast<std::size_t>(v)] <= now; });
    std::vector<ValueId> group;
    for (const ValueId out : op.outs) {
      if (last_read[static_cast<std::size_t>(out.index)] > now) open.push_back(out.index);
      if (keepable.contains(out)) group.push_back(out);
    }
    element.past = now + 1;
    const bool is_cut = open.size() == 1 && std::ranges::find(group, ValueId{open.front()}) != group.end();
    if (is_cut) {
      element.end = group;
      elements_.push_back(std::exchange(element, Element{.first = now + 1, .groups = {}, .end = {}}));
    } else if (!group.empty()) {
      element.groups.push_back(group);
    }
  }
  if (element.past > element.first) elements_.push_back(element);
}

int CheckpointingChain::longest_from(int element) const {
  int with_values = 0, past = element;
  for (; past < size(); ++past) {
    with_values += elements_[static_cast<std::size_t>(past)].groups.empty() ? 0 : 1;
    if (with_values > longest_segment) break;
  }
  return past - element;
}

void CheckpointingChain::find_kinds(const Program& forward) {
  std::map<std::string, int> kinds;
  for (Element& element : elements_)
    element.kind = kinds.try_emplace(description(forward, element.first, element.past), static_cast<int>(kinds.size()))
                       .first->second;
}

void CheckpointingChain::drop(int element, const Segment& segment, KeepSet& keep) const {
  std::uint64_t bits = segment.dropped;
  for (int i = element; i < element + segment.elements; ++i) {
    const Element& e = elements_[static_cast<std::size_t>(i)];
    for (const std::vector<ValueId>& group : e.groups) {
      if ((bits & 1) != 0)
        for (const ValueId id : group) keep.erase(id);
      bits >>= 1;
    }
    if (i + 1 < element + segment.elements)
      for (const ValueId id : e.end) keep.erase(id);
  }
}

// Sets of groups, numbered through the elements, that are dropped together: each alone, or those of elements of one kind.
std::vector<std::vector<std::size_t>> CheckpointingChain::choices_in(int element, int length) const {
  std::size_t groups = 0;
  for (int i = element; i < element + length; ++i) groups += elements_[static_cast<std::size_t>(i)].groups.size();
  const bool free = groups <= most_free_groups;
  std::vector<std::vector<std::size_t>> choices;
  std::map<std::pair<int, std::size_t>, std::size_t> alike;
  groups = 0;
  for (int i = element; i < element + length; ++i) {
    const Element& e = elements_[static_cast<std::size_t>(i)];
    for (std::size_t g = 0; g < e.groups.size(); ++g, ++groups) {
      const auto [found, fresh] = alike.try_emplace({free ? i : -1 - e.kind, g}, choices.size());
      if (fresh) choices.emplace_back();
      choices[found->second].push_back(groups);
    }
  }
  return choices;
}

std::vector<Segment> CheckpointingChain::measured(const KeepSetCost& cost, int element, int length) const {
  const auto at = [&](int i) -> const Element& { return elements_[static_cast<std::size_t>(i)]; };
  const KeepSetCost slice = cost.slice(at(element).first, at(element + length - 1).past);
  KeepSetCost::Kept kept = slice.kept(keepable_);
  std::vector<const std::vector<ValueId>*> groups;
  for (int i = element; i < element + length; ++i) {
    for (const std::vector<ValueId>& group : at(i).groups) groups.push_back(&group);
    if (i + 1 < element + length)
      for (const ValueId id : at(i).end) kept[static_cast<std::size_t>(slice.number(id))] = 0;
  }
  const std::vector<std::vector<std::size_t>> choices = choices_in(element, length);
  std::vector<Segment> segments;
  Segment segment{.elements = length};
  for (std::uint64_t code = 0; code < std::uint64_t{1} << choices.size(); ++code) {
    if (code > 0)  // a Gray code: one choice changes at a time
      for (const std::size_t g : choices[static_cast<std::size_t>(std::countr_zero(code))]) {
        segment.dropped ^= std::uint64_t{1} << g;
        for (const ValueId id : *groups[g]) kept[static_cast<std::size_t>(slice.number(id))] ^= 1;
      }
    const KeepSetCost::Cost now = slice.of(kept);
    segment.kept_bytes = now.kept_bytes;
    segment.largest_bytes = now.largest_sum_bytes;
    segment.repeated_ns = now.repeated_ns;
    segments.push_back(segment);
  }
  return segments;
}

}  // namespace stepscope
