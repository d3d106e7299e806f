#include "model/program/keep_set_cost.h"

#include <algorithm>
#include <array>

#include "model/program/memory_plan.h"

namespace stepscope {

namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

// In-place rules of one operation that hold whatever is kept; liveness.cpp has the one that depends on it.
std::vector<InPlace> possible_in_place(const Program& program, const Operation& op) {
  std::vector<InPlace> rules;
  for (const InPlace& rule : in_place_of(op)) {
    if (rule.out >= static_cast<int>(op.outs.size()) || rule.in >= static_cast<int>(op.ins.size())) continue;
    const Operand& in = op.ins[at(rule.in)];
    if (!in.is_value() || in.view != whole_view(program.type(in).shape)) continue;
    const TensorType& from = program.type(in);
    const TensorType& to = program.value(op.outs[at(rule.out)]).type;
    if (size_bytes(from.dtype) != size_bytes(to.dtype) || from.shape.elements() != to.shape.elements()) continue;
    const auto same = [&](const Operand& other) { return other.value() == in.value(); };
    if (std::ranges::count_if(op.ins, same) == 1) rules.push_back({rule.out, in.index});
  }
  return rules;
}

}  // namespace

// One evaluation: the order of operations with repeats, then lifetimes, then sums. A repeated value v is values + v.
struct KeepSetCost::Run {
  struct Entry {
    int operation;
    bool again;
  };
  const KeepSetCost& cost;
  const Kept& kept;
  const int twins;
  const int backward_begin;
  std::vector<Entry> entries;
  std::vector<char> repeated;  // by value
  std::vector<int> born, dies;  // by value and twin; -1: not here
  int last = -1;  // entry
  double repeated_ns = 0;

  Run(const KeepSetCost& c, const Kept& k)
      : cost(c),
        kept(k),
        twins(static_cast<int>(c.values_.size())),
        backward_begin(static_cast<int>(c.forward_count_)),
        repeated(c.values_.size(), 0),
        born(2 * c.values_.size(), -1),
        dies(2 * c.values_.size(), -1) {
    entries.reserve(2 * c.operations_.size());
  }

  [[nodiscard]] const Op& op_of(const Entry& entry) const { return cost.operations_[at(entry.operation)]; }
  [[nodiscard]] const Val& value(int number) const { return cost.values_[at(number)]; }
  [[nodiscard]] bool is_lost(int number) const { return value(number).forward && kept[at(number)] == 0; }
  // The value or twin that an entry reads for an operand, and makes.
  [[nodiscard]] int read(const Entry& entry, int in) const {
    return (entry.again || op_of(entry).backward) && is_lost(in) ? twins + in : in;
  }
  [[nodiscard]] int made(const Entry& entry, int out) const { return entry.again ? twins + out : out; }

  // As Differentiation::repeat: what `wanted` needs back to what is kept or repeated already, in its first order.
  void repeat(int wanted) {
    std::vector<int> cone{value(wanted).producer};
    for (std::size_t i = 0; i < cone.size(); ++i)
      for (const int in : cost.operations_[at(cone[i])].ins)
        if (is_lost(in) && repeated[at(in)] == 0 && std::ranges::find(cone, value(in).producer) == cone.end())
          cone.push_back(value(in).producer);
    std::ranges::sort(cone);
    for (const int operation : cone) {
      entries.push_back({operation, true});
      repeated_ns += cost.operations_[at(operation)].ns;
      for (const int out : cost.operations_[at(operation)].outs)
        if (is_lost(out)) repeated[at(out)] = 1;
    }
  }

  void order() {
    for (std::size_t i = 0; i < cost.operations_.size(); ++i) {
      if (cost.operations_[i].backward)
        for (const int in : cost.operations_[i].ins)
          if (is_lost(in) && repeated[at(in)] == 0) repeat(in);
      entries.push_back({static_cast<int>(i), false});
    }
    last = static_cast<int>(entries.size()) - 1;
  }

  void lifetimes() {
    std::array<int, 3> last_of_section{-1, -1, -1};
    for (int i = 0; i <= last; ++i) last_of_section[static_cast<std::size_t>(op_of(entries[at(i)]).section)] = i;
    for (int i = 0; i <= last; ++i) {
      const Op& op = op_of(entries[at(i)]);
      for (const int in : op.ins) {
        const bool crosses = value(in).section != op.section;
        int& end = dies[at(read(entries[at(i)], in))];
        end = std::max(end, crosses ? last_of_section[static_cast<std::size_t>(op.section)] : i);
      }
      for (const int out : op.outs) born[at(made(entries[at(i)], out))] = dies[at(made(entries[at(i)], out))] = i;
    }
    for (int v = 0; v < twins; ++v) {
      if (value(v).read_between && born[at(v)] >= 0) dies[at(v)] = std::max(dies[at(v)], backward_begin - 1);
      if (value(v).read_later) dies[at(v)] = last + 1;  // not to be overwritten
    }
  }

  Cost sums() const {
    std::vector<std::int64_t> change(entries.size() + 2, 0),
        own(born.size(), 0);  // own: of the buffer that a value lies in
    std::vector<char> taken(born.size(), 0);
    const auto add = [&](int from, int until, std::int64_t bytes) {
      change[at(from)] += bytes;
      change[at(std::min(until, last)) + 1] -= bytes;
    };
    for (int v = 0; v < twins; ++v) {
      if (born[at(v)] >= 0 || dies[at(v)] < 0) continue;
      own[at(v)] = value(v).bytes;
      if (!value(v).forward) {  // a gradient from later operations
        add(backward_begin, dies[at(v)], own[at(v)]);
      } else {  // a cut that earlier ones keep: counted as theirs, whether it still lives or not
        add(0, dies[at(v)], own[at(v)]);
        add(0, last, -own[at(v)]);
      }
    }
    std::vector<int> over;
    for (int i = 0; i <= last; ++i) {
      const Op& op = op_of(entries[at(i)]);
      over.assign(op.outs.size(), -1);
      for (const InPlace& rule : op.in_place) {
        const int in = read(entries[at(i)], rule.in);
        if (dies[at(in)] != i || taken[at(in)] != 0 || over[at(rule.out)] >= 0) continue;
        if (value(rule.in).section != op.section) continue;
        taken[at(in)] = 1;
        over[at(rule.out)] = in;
      }
      for (std::size_t o = 0; o < op.outs.size(); ++o) {
        const int out = made(entries[at(i)], op.outs[o]);
        own[at(out)] = over[o] >= 0 ? own[at(over[o])] : value(op.outs[o]).bytes;
        const int from = over[o] >= 0 ? i + 1 : i;  // over an operand the buffer is counted until now already
        if (dies[at(out)] >= from) add(from, dies[at(out)], own[at(out)]);
      }
      if (op.workspace_bytes > 0) add(i, i, op.workspace_bytes);
    }
    Cost result{.repeated_ns = repeated_ns};
    std::int64_t live = 0;
    for (int i = 0; i <= last; ++i) {
      live += change[at(i)];
      result.largest_sum_bytes = std::max(result.largest_sum_bytes, live);
    }
    for (int v = 0; v < twins; ++v)
      if (born[at(v)] >= 0 && born[at(v)] < backward_begin && (dies[at(v)] >= backward_begin || value(v).left_over))
        result.kept_bytes += own[at(v)];
    return result;
  }
};

KeepSetCost::KeepSetCost(const Program& forward, const Program& step, const OperationTimes& times) {
  values_.resize(step.values.size());
  numbers_.resize(step.values.size());
  for (std::size_t v = 0; v < values_.size(); ++v) {
    numbers_[v] = static_cast<int>(v);
    values_[v].bytes = round_up(step.values[v].type.size_bytes(), arena_alignment_bytes);
    values_[v].forward = v < forward.values.size();
  }
  std::size_t forward_seen = 0;
  int added = 0;  // copies in the prologue, which the forward program has not and `original` counts
  for (const Operation& op : step.operations) added += op.kind->copies && op.section == Section::prologue ? 1 : 0;
  for (std::size_t i = 0; i < step.operations.size(); ++i) {
    const Operation& op = step.operations[i];
    Op own{.ins = {},
           .outs = {},
           .in_place = possible_in_place(step, op),
           .workspace_bytes = round_up(op.workspace_bytes, arena_alignment_bytes),
           .section = op.section,
           .backward = op.phase == Phase::backward,
           .ns = times[i]};
    for (const Operand& in : op.ins)
      if (in.is_value()) own.ins.push_back(in.index);
    for (const ValueId out : op.outs) {
      own.outs.push_back(out.index);
      Val& value = values_[at(out.index)];
      value.producer = static_cast<int>(i), value.section = op.section, value.stays = !op.writes.empty();
    }
    if (own.backward)
      own.forward = op.original - added;
    else if (!op.kind->copies && forward_seen < forward.operations.size())
      own.forward = static_cast<int>(forward_seen++);
    operations_.push_back(std::move(own));
  }
}

KeepSetCost KeepSetCost::slice(int first, int past) const {
  KeepSetCost slice;
  slice.numbers_.assign(numbers_.size(), -1);
  const auto number = [&](int v) {
    int& known = slice.numbers_[at(v)];
    if (known < 0) {
      known = static_cast<int>(slice.values_.size());
      slice.values_.push_back(values_[at(v)]);
      slice.values_.back().producer = -1;
    }
    return known;
  };
  std::vector<char> inside(operations_.size(), 0);
  std::size_t last = 0, first_backward = operations_.size();
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    Op op = operations_[i];
    if (op.forward < first || op.forward >= past) continue;
    inside[i] = 1;
    last = i;
    if (op.backward) first_backward = std::min(first_backward, i);
    if (first_backward > i) ++slice.forward_count_;
    for (int& in : op.ins) in = number(in);
    for (InPlace& rule : op.in_place) rule.in = number(rule.in);
    for (int& out : op.outs) {
      out = number(out);
      slice.values_[at(out)].producer = static_cast<int>(slice.operations_.size());
    }
    slice.operations_.push_back(std::move(op));
  }
  for (std::size_t i = 0; i < operations_.size(); ++i)
    if (inside[i] == 0)
      for (const int in : operations_[i].ins) {
        if (slice.numbers_[at(in)] < 0) continue;
        Val& value = slice.values_[at(slice.numbers_[at(in)])];
        value.read_later |= i > last;
        value.read_between |= i < first_backward;
        value.left_over |= i < first_backward && operations_[i].backward;
      }
  return slice;
}

KeepSetCost::Kept KeepSetCost::kept(const KeepSet& keep) const {
  Kept kept(values_.size(), 0);
  for (std::size_t v = 0; v < values_.size(); ++v) kept[v] = values_[v].stays || values_[v].producer < 0;
  for (const ValueId id : keep)
    if (number(id) >= 0) kept[at(number(id))] = 1;
  return kept;
}

KeepSetCost::Cost KeepSetCost::of(const Kept& kept) const {
  Run run(*this, kept);
  run.order();
  run.lifetimes();
  return run.sums();
}

}  // namespace stepscope
