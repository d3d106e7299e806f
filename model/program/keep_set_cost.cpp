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
  for (const InPlace& rule : op.kind->in_place) {
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
  const Slice& slice;
  const Kept& kept;
  std::vector<Entry> entries;
  std::vector<char> repeated;  // by forward value
  std::vector<int> born, dies;  // by value and twin; -1: not of this slice
  std::vector<std::int64_t> change;
  int backward_begin = 0;
  double repeated_ns = 0;

  Run(const KeepSetCost& c, const Slice& s, const Kept& k) : cost(c), slice(s), kept(k) {
    entries.reserve(2 * s.operations.size());
    repeated.assign(at(c.forward_values_), 0);
  }

  [[nodiscard]] bool is_lost(int value) const { return value < cost.forward_values_ && kept[at(value)] == 0; }
  [[nodiscard]] int twin(int value) const { return static_cast<int>(cost.bytes_.size()) + value; }

  // As Differentiation::repeat: what `wanted` needs back to what is kept or repeated already, in its first order.
  void repeat(int wanted) {
    std::vector<int> cone{cost.producer_[at(wanted)]};
    for (std::size_t i = 0; i < cone.size(); ++i)
      for (const int in : cost.operations_[at(cone[i])].ins) {
        const int producer = cost.producer_[at(in)];
        if (is_lost(in) && repeated[at(in)] == 0 && std::ranges::find(cone, producer) == cone.end())
          cone.push_back(producer);
      }
    std::ranges::sort(cone);
    for (const int operation : cone) {
      entries.push_back({operation, true});
      repeated_ns += cost.operations_[at(operation)].ns;
      for (const int out : cost.operations_[at(operation)].outs)
        if (is_lost(out)) repeated[at(out)] = 1;
    }
  }

  void order() {
    for (std::size_t i = 0; i < slice.operations.size(); ++i) {
      const Op& op = cost.operations_[at(slice.operations[i])];
      if (op.backward)
        for (const int in : op.ins)
          if (is_lost(in) && repeated[at(in)] == 0) repeat(in);
      entries.push_back({slice.operations[i], false});
    }
    backward_begin = static_cast<int>(slice.forward_count);
  }

  // The value or twin that an entry reads for an operand.
  [[nodiscard]] int read(const Entry& entry, int in) const {
    const bool twins = entry.again || cost.operations_[at(entry.operation)].backward;
    return twins && is_lost(in) ? twin(in) : in;
  }
  [[nodiscard]] int made(const Entry& entry, int out) const { return entry.again ? twin(out) : out; }

  void lifetimes() {
    born.assign(2 * cost.bytes_.size(), -1);
    dies.assign(2 * cost.bytes_.size(), -1);
    std::array<int, 3> last_of_section{-1, -1, -1};
    for (std::size_t i = 0; i < entries.size(); ++i)
      last_of_section[static_cast<std::size_t>(cost.operations_[at(entries[i].operation)].section)] =
          static_cast<int>(i);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const Op& op = cost.operations_[at(entries[i].operation)];
      const int now = static_cast<int>(i);
      for (const int in : op.ins) {
        const int value = read(entries[i], in);
        const int producer = cost.producer_[at(in)];
        const bool crosses = producer >= 0 && cost.operations_[at(producer)].section != op.section;
        dies[at(value)] =
            std::max(dies[at(value)], crosses ? last_of_section[static_cast<std::size_t>(op.section)] : now);
      }
      for (const int out : op.outs) {
        const int value = made(entries[i], out);
        born[at(value)] = dies[at(value)] = now;
      }
    }
  }

  // Values that others read outside the slice, and those that come from outside.
  void boundary() {
    const int last = static_cast<int>(entries.size()) - 1;
    for (std::size_t v = 0; v < cost.bytes_.size(); ++v) {
      if (slice.read_between[v] != 0 && born[v] >= 0) dies[v] = std::max(dies[v], backward_begin - 1);
      if (slice.read_later[v] != 0 && (born[v] >= 0 || dies[v] >= 0)) dies[v] = last + 1;  // not to be overwritten
    }
  }

  Cost sums() {
    change.assign(entries.size() + 2, 0);
    std::vector<std::int64_t> own(born.size(), 0);  // bytes of the buffer that a value lies in
    std::vector<char> taken(born.size(), 0);
    const auto add = [&](int from, int until, std::int64_t bytes) {
      change[at(from)] += bytes;
      change[at(until) + 1] -= bytes;
    };
    const int last = static_cast<int>(entries.size()) - 1;
    for (std::size_t v = 0; v < cost.bytes_.size(); ++v) {
      if (born[v] >= 0 || dies[v] < 0) continue;
      own[v] = cost.bytes_[v];
      if (static_cast<int>(v) >= cost.forward_values_) {  // a gradient from later operations
        add(backward_begin, std::min(dies[v], last), own[v]);
      } else {  // a cut that earlier ones keep: counted as theirs, whether it still lives or not
        add(0, std::min(dies[v], last), own[v]);
        add(0, last, -own[v]);
      }
    }
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const Op& op = cost.operations_[at(entries[i].operation)];
      const int now = static_cast<int>(i);
      std::vector<int> over(op.outs.size(), -1);
      for (const InPlace& rule : op.in_place) {
        const int in = read(entries[i], rule.in);
        const int producer = cost.producer_[at(rule.in)];
        if (dies[at(in)] != now || taken[at(in)] != 0 || over[at(rule.out)] >= 0) continue;
        if (producer < 0 || cost.operations_[at(producer)].section != op.section) continue;
        taken[at(in)] = 1;
        over[at(rule.out)] = in;
      }
      for (std::size_t o = 0; o < op.outs.size(); ++o) {
        const int value = made(entries[i], op.outs[o]);
        const int until = std::min(dies[at(value)], last);
        own[at(value)] = over[o] >= 0 ? own[at(over[o])] : cost.bytes_[at(op.outs[o])];
        // Over an operand the buffer is counted until now already.
        if (over[o] < 0)
          add(now, until, own[at(value)]);
        else if (until > now)
          add(now + 1, until, own[at(value)]);
      }
      if (op.workspace_bytes > 0) add(now, now, op.workspace_bytes);
    }
    Cost result{.repeated_ns = repeated_ns};
    std::int64_t live = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      live += change[i];
      result.largest_sum_bytes = std::max(result.largest_sum_bytes, live);
    }
    for (std::size_t v = 0; v < cost.bytes_.size(); ++v)
      if (born[v] >= 0 && born[v] < backward_begin && (dies[v] >= backward_begin || slice.left_over[v] != 0))
        result.kept_bytes += own[v];
    return result;
  }
};

KeepSetCost::KeepSetCost(const Program& forward, const Program& step, const OperationTimes& times)
    : forward_values_(static_cast<int>(forward.values.size())) {
  producer_.assign(step.values.size(), -1);
  stays_.assign(step.values.size(), 0);
  for (const Value& value : step.values) bytes_.push_back(round_up(value.type.size_bytes(), arena_alignment_bytes));
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
      producer_[at(out.index)] = static_cast<int>(i);
      stays_[at(out.index)] = !op.writes.empty();
    }
    const bool is_forward = step_operation_.size() < forward.operations.size() && op.phase != Phase::backward;
    forward_operation_.push_back(is_forward ? static_cast<int>(step_operation_.size())
                                            : (own.backward ? op.original : -1));
    if (is_forward) step_operation_.push_back(static_cast<int>(i));
    whole_.operations.push_back(static_cast<int>(i));
    operations_.push_back(std::move(own));
  }
  whole_.read_later.assign(bytes_.size(), 0);
  whole_.read_between.assign(bytes_.size(), 0);
  whole_.left_over.assign(bytes_.size(), 0);
}

KeepSetCost::Slice KeepSetCost::whole() const { return whole_; }

KeepSetCost::Slice KeepSetCost::slice(int first, int past) const {
  Slice slice;
  slice.read_later.assign(bytes_.size(), 0);
  slice.read_between.assign(bytes_.size(), 0);
  slice.left_over.assign(bytes_.size(), 0);
  std::vector<char> inside(operations_.size(), 0);
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const int of = forward_operation_[i];
    if (of < first || of >= past) continue;
    inside[i] = 1;
    slice.operations.push_back(static_cast<int>(i));
    if (!operations_[i].backward && slice.forward_count + 1 == slice.operations.size()) ++slice.forward_count;
  }
  const int last = slice.operations.empty() ? 0 : slice.operations.back();
  const int first_backward =
      slice.forward_count < slice.operations.size() ? slice.operations[slice.forward_count] : last + 1;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    if (inside[i] != 0) continue;
    for (const int in : operations_[i].ins) {
      if (static_cast<int>(i) > last) slice.read_later[at(in)] = 1;
      if (static_cast<int>(i) < first_backward) {
        slice.read_between[at(in)] = 1;
        if (operations_[i].backward) slice.left_over[at(in)] = 1;
      }
    }
  }
  return slice;
}

KeepSetCost::Kept KeepSetCost::kept(const KeepSet& keep) const {
  Kept kept = stays_;
  for (const ValueId id : keep) kept[at(id.index)] = 1;
  return kept;
}

KeepSetCost::Cost KeepSetCost::of(const Slice& slice, const Kept& kept) const {
  Run run(*this, slice, kept);
  run.order();
  run.lifetimes();
  run.boundary();
  return run.sums();
}

}  // namespace stepscope
