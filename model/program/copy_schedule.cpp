#include "model/program/copy_schedule.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "model/program/copy.h"
#include "model/program/liveness.h"

namespace stepscope {

namespace {

constexpr double never = std::numeric_limits<double>::infinity();
constexpr double enough = 1e-3;  // copies whose wait is less of the step's time are hidden
constexpr std::int64_t spare = 10;  // one in so many bytes may be spent on a shorter wait

std::size_t at(int index) { return static_cast<std::size_t>(index); }

bool is_out(const Operation& op) { return op.kind == &copy_to_host_kind; }
bool is_in(const Operation& op) { return op.kind == &copy_from_host_kind; }

double carried_ns(const Program& program, const Operation& copy, double bandwidth) {
  return bandwidth > 0 ? 1e9 * static_cast<double>(copied_bytes(program, copy)) / bandwidth : never;
}

std::int64_t runs_of(const Program& program, const Operation& op) {
  return op.section == Section::micro ? program.micro_steps : 1;
}

// The operations [first, past) of one section; copies from the host move inside [boundary, past) of it.
struct Part {
  int first = 0, past = 0, boundary = 0;
};

std::vector<Part> parts_of(const Program& program) {
  std::vector<Part> parts;
  for (int i = 0; i < static_cast<int>(program.operations.size()); ++i) {
    const Operation& op = program.operations[at(i)];
    if (i == 0 || program.operations[at(i - 1)].section != op.section) parts.push_back({i, i, i});
    parts.back().past = i + 1;
    if (op.phase == Phase::forward) parts.back().boundary = i + 1;
  }
  return parts;
}

class Scheduler {
 public:
  Scheduler(Program& program, const OperationTimes& times, double bandwidth, int in_flight)
      : program_(program), times_(times), bandwidth_(bandwidth), in_flight_(at(in_flight)) {}

  void run() {
    place_.resize(program_.operations.size());
    std::iota(place_.begin(), place_.end(), 0);
    find_readers();
    for (const Part& part : parts_of(program_)) {
      await_copies_out(part);
      place_copies_in(part);
    }
    reorder();
  }

 private:
  [[nodiscard]] Operation& op(int index) const { return program_.operations[at(index)]; }

  void find_readers() {
    first_reader_.assign(program_.values.size(), -1);
    last_forward_reader_.assign(program_.values.size(), -1);
    for (int i = 0; i < static_cast<int>(program_.operations.size()); ++i)
      for (const Operand& in : op(i).ins) {
        if (!in.is_value()) continue;
        if (first_reader_[at(in.index)] < 0) first_reader_[at(in.index)] = i;
        if (op(i).phase == Phase::forward) last_forward_reader_[at(in.index)] = i;
      }
  }

  // Goes through the part as it would run. A copy is awaited where it is complete, but not before the last forward operation that
  // keeps its operand anyway; earlier where too many are in flight or its result is read, at the latest where backward begins.
  void await_copies_out(const Part& part) {
    struct Pending {
      int copy;
      double complete;
      int maker;  // the operation in whose results' place it stands: they count as one in flight
    };
    std::vector<Pending> pending;
    double now = 0, free = 0;
    int maker = -1;
    const auto await_first = [&](int before) {
      op(pending.front().copy).complete_before = before;
      if (pending.front().complete < never) now = std::max(now, pending.front().complete);
      pending.erase(pending.begin());
    };
    const auto too_many = [&] {
      std::set<int> makers{maker};
      for (const Pending& one : pending) makers.insert(one.maker);
      return makers.size() > in_flight_;
    };
    for (int i = part.first; i < part.past; ++i) {
      while (i == part.boundary && !pending.empty()) await_first(i);
      while (!pending.empty() && pending.front().complete <= now && i > last_forward_reader_of(pending.front().copy))
        await_first(i);
      if (!op(i).kind->copies) {
        now += times_[at(i)];
        maker = i;
      } else if (is_out(op(i)) && in_flight_ > 0) {
        while (!pending.empty() && too_many()) await_first(i);
        free = std::max(now, free) + carried_ns(program_, op(i), bandwidth_);
        pending.push_back({i, free, maker});
      }
    }
    while (!pending.empty()) await_first(part.past);
  }
  [[nodiscard]] int last_forward_reader_of(int copy) const { return last_forward_reader_[at(op(copy).ins[0].index)]; }

  // From the last to the first: each begins so that it and those behind it in the queue arrive before their readers.
  void place_copies_in(const Part& part) {
    std::vector<double> begins(at(part.past - part.first) + 1, 0);  // of operations, in a run without waits
    for (int i = part.first; i < part.past; ++i)
      begins[at(i - part.first) + 1] = begins[at(i - part.first)] + (op(i).kind->copies ? 0 : times_[at(i)]);
    std::vector<int> copies;
    for (int i = part.boundary; i < part.past; ++i)
      if (is_in(op(i))) copies.push_back(i);
    std::vector<int> readers;  // that wait for any: copies with one reader count as one in flight
    std::vector<std::size_t> turn;  // by copy: that of its reader
    for (const int copy : copies) {
      if (readers.empty() || readers.back() != reader_of(copy)) readers.push_back(reader_of(copy));
      turn.push_back(readers.size() - 1);
    }
    double latest = never;
    for (std::size_t k = in_flight_ > 0 ? copies.size() : 0; k-- > 0;) {
      const int reader = reader_of(copies[k]);
      if (reader < 0) continue;
      latest = std::min(latest, begins[at(reader - part.first)]) - carried_ns(program_, op(copies[k]), bandwidth_);
      int place = copies[k];
      while (place > part.boundary && begins[at(place - part.first)] > latest) --place;
      if (turn[k] >= in_flight_) place = std::max(place, std::min(copies[k], readers[turn[k] - in_flight_]));
      place_[at(copies[k])] = place;
    }
  }
  [[nodiscard]] int reader_of(int copy) const { return first_reader_[at(op(copy).outs[0].index)]; }

  void reorder() {
    std::vector<int> order(program_.operations.size());
    std::iota(order.begin(), order.end(), 0);
    const auto key = [&](int i) { return std::pair(place_[at(i)], place_[at(i)] == i ? 1 : 0); };
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) < key(b); });
    std::vector<int> now(order.size() + 1, static_cast<int>(order.size()));
    std::vector<Operation> ordered;
    for (std::size_t i = 0; i < order.size(); ++i) now[at(order[i])] = static_cast<int>(i);
    for (const int old : order) ordered.push_back(std::move(program_.operations[at(old)]));
    program_.operations = std::move(ordered);
    for (Operation& each : program_.operations)
      if (each.runs_beside()) each.complete_before = now[at(each.complete_before)];
    if (in_flight_ == 0) return;
    find_readers();
    for (Operation& each : program_.operations) {
      if (!each.kind->copies || each.outs.empty()) continue;
      const int reader = first_reader_[at(each.outs[0].index)];
      if (reader < 0) continue;
      each.complete_before = is_in(each) ? reader : std::min(each.complete_before, reader);
    }
  }

  Program& program_;
  const OperationTimes& times_;
  const double bandwidth_;
  const std::size_t in_flight_;
  std::vector<int> place_;  // by operation: before which it shall stand
  std::vector<int> first_reader_, last_forward_reader_;  // by value
};

Program scheduled(const Program& program, const OperationTimes& times, double bandwidth, int in_flight) {
  Program copy = program;
  Scheduler(copy, times, bandwidth, in_flight).run();
  return copy;
}

// The order of operations has changed, their times go with them.
OperationTimes times_in_order(const Program& from, const OperationTimes& times, const Program& to) {
  std::vector<double> others;
  for (std::size_t i = 0; i < times.size(); ++i)
    if (!from.operations[i].kind->copies) others.push_back(times[i]);
  OperationTimes ordered;
  std::size_t next = 0;
  for (const Operation& op : to.operations) ordered.push_back(op.kind->copies ? 0 : others[next++]);
  return ordered;
}

}  // namespace

void schedule_copies(Program& program, const OperationTimes& times, const HostLink& link) {
  if (std::ranges::none_of(program.operations, [](const Operation& op) { return op.kind->copies; })) return;
  if (link.in_flight || link.bandwidth <= 0) {
    program = scheduled(program, times, link.bandwidth, link.in_flight.value_or(2));
    return;
  }
  struct Trial {
    Program program;
    double wait_ns = 0;
    std::int64_t bytes = 0;
  };
  std::vector<Trial> trials;
  for (const int in_flight : {1, 2, 4, 8, 16, 1 << 20}) {
    Trial trial{scheduled(program, times, link.bandwidth, in_flight)};
    trial.wait_ns = copy_wait_ns(
        trial.program, copy_waits(trial.program, times_in_order(program, times, trial.program), link.bandwidth));
    trial.bytes = least_arena_bytes(trial.program);
    trials.push_back(std::move(trial));
  }
  double work = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    if (!program.operations[i].kind->copies)
      work += times[i] * static_cast<double>(runs_of(program, program.operations[i]));
  const auto hides = [&](const Trial& trial) { return trial.wait_ns <= enough * work; };
  const std::int64_t fewest = std::ranges::min_element(trials, {}, &Trial::bytes)->bytes;
  const auto waits_least = [&](const Trial& trial) {
    return std::pair(trial.bytes > fewest + fewest / spare, trial.wait_ns);
  };
  auto best = std::ranges::find_if(trials, hides);
  if (best == trials.end()) best = std::ranges::min_element(trials, {}, waits_least);
  program = std::move(best->program);
}

OperationTimes copy_waits(const Program& program, const OperationTimes& times, double bandwidth) {
  OperationTimes waits(program.operations.size(), 0);
  std::array<double, 2> free{};  // of the queue to the host, and from it
  std::multimap<int, std::pair<std::size_t, double>>
      pending;  // by the operation that awaits: copy, when it is complete
  double now = 0;
  const auto await = [&](std::size_t copy, double complete) {
    waits[copy] = std::max(0.0, complete - now);
    now += waits[copy];
  };
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    while (!pending.empty() && pending.begin()->first <= static_cast<int>(i)) {
      await(pending.begin()->second.first, pending.begin()->second.second);
      pending.erase(pending.begin());
    }
    if (!op.kind->copies) {
      now += times[i];
      continue;
    }
    double& queue = free[is_in(op) ? 1 : 0];
    queue = std::max(queue, now) + carried_ns(program, op, bandwidth);
    if (op.runs_beside())
      pending.emplace(op.complete_before, std::pair(i, queue));
    else
      await(i, queue);
  }
  for (const auto& [before, copy] : pending) await(copy.first, copy.second);
  return waits;
}

void add_copy_waits(const Program& program, double bandwidth, OperationTimes& times) {
  if (bandwidth <= 0) return;
  const OperationTimes waits = copy_waits(program, times, bandwidth);
  for (std::size_t i = 0; i < times.size(); ++i)
    if (program.operations[i].kind->copies) times[i] = waits[i];
}

CopyTraffic copy_traffic(const Program& program) {
  CopyTraffic traffic;
  for (const Operation& op : program.operations)
    if (op.kind->copies)
      (is_in(op) ? traffic.from_host_bytes : traffic.to_host_bytes) += copied_bytes(program, op) * runs_of(program, op);
  return traffic;
}

double copy_wait_ns(const Program& program, const OperationTimes& times) {
  double sum = 0;
  for (std::size_t i = 0; i < times.size(); ++i)
    if (program.operations[i].kind->copies)
      sum += times[i] * static_cast<double>(runs_of(program, program.operations[i]));
  return sum;
}

}  // namespace stepscope
