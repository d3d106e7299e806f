// The learning part of a run: which cells show a loss curve, and over how many steps.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/coordinator.h"
#include "harness/simulated_device.h"
#include "reports/recommendation.h"
#include "reports/statistics.h"

namespace stepscope {

namespace {

constexpr std::int64_t fewest_learning_steps = 20;

}  // namespace

std::vector<Coordinator::Entry*> Coordinator::learners() {
  std::vector<Entry*> chosen;
  const auto choose = [&](auto&& matches) {
    for (Entry& entry : entries_)
      if (runs(entry) && matches(entry) && std::find(chosen.begin(), chosen.end(), &entry) == chosen.end())
        chosen.push_back(&entry);
  };
  for (const Match& match : request_.matrix.learning)
    choose([&](const Entry& entry) { return match.matches(entry.cell.configuration); });
  if (!chosen.empty()) return chosen;
  choose([](const Entry& entry) { return entry.cell.id == entry.reference; });
  choose([](const Entry& entry) {  // another precision and nothing else
    Configuration plain = reference_of(entry.cell.configuration);
    plain.techniques["precision"] = entry.cell.configuration.techniques.at("precision");
    return cell_id(plain) == entry.cell.id;
  });
  const MeasuredRun run = read_run(request_.out);
  const Answer answer = answer_of(run, Names(run));
  const auto choose_cell = [&](const Cell* cell) {
    if (cell != nullptr) choose([&](const Entry& entry) { return entry.cell.id == cell->record.id; });
  };
  choose_cell(answer.best);
  choose_cell(answer.frontier.empty() ? nullptr : answer.frontier.front());  // the smallest: it recomputes the most
  return chosen;
}

std::int64_t Coordinator::learning_steps_within_limit(const std::vector<Entry*>& learners) const {
  const std::int64_t wanted = request_.matrix.measure.learning_steps;
  if (request_.time_limit_seconds <= 0 || learners.empty()) return wanted;
  double a_step = 0;  // of all learners together
  for (const Entry* entry : learners) {
    const auto timed = entry->visits.find(number_of(VisitKind::timed, 1));
    if (timed != entry->visits.end() && !timed->second.step_time_ns.empty())
      a_step += median_of(timed->second.step_time_ns) * 1e-9;
  }
  const double left = request_.time_limit_seconds - progress_.elapsed_seconds();
  const double possible =
      a_step > 0 ? std::floor(left / (1.15 * a_step)) : static_cast<double>(wanted);  // validation takes its share
  return std::clamp(static_cast<std::int64_t>(possible), std::min(fewest_learning_steps, wanted), wanted);
}

void Coordinator::measure_learning() {
  if (stopped_ || request_.matrix.measure.learning_steps == 0) return;
  if (!computes(request_.machine))
    return note("no learning curves: the simulated card costs kernels and computes none");
  for (Entry& entry : entries_) save(entry);  // verified now, so that a mix can be recommended
  const std::vector<Entry*> cells = learners();
  const std::int64_t wanted = request_.matrix.measure.learning_steps, steps = learning_steps_within_limit(cells);
  if (steps < wanted)
    note(fmt::format("{} of {} learning steps: the time limit of {} was near", steps, wanted,
                     readable_time(request_.time_limit_seconds)));
  std::vector<Due> due;
  for (Entry* entry : cells)
    if (!is_made(*entry, VisitKind::learning, 1)) due.push_back({entry, VisitKind::learning, 1});
  for (Due& one : due) one.entry->cell.configuration.measure.learning_steps = steps;
  progress_.expect(static_cast<int>(due.size()));
  for (const Due& one : due) visit(one);
}

}  // namespace stepscope
