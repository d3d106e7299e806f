#include "reports/recommendation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "reports/format.h"
#include "reports/simulated.h"

namespace stepscope {

namespace {

// " at 41 % less memory"
std::string memory_clause(const Record& cell, const Record& baseline) {
  const double ratio =
      static_cast<double>(peak_bytes(cell)) / static_cast<double>(std::max<std::int64_t>(1, peak_bytes(baseline)));
  if (std::abs(ratio - 1) < 0.0005) return "the same memory";
  return fmt::format("{} {} memory", format_percent(std::abs(ratio - 1)), ratio < 1 ? "less" : "more");
}

std::string numerics_clause(const Record& record) {
  const Numerics& numerics = record.numerics;
  if (numerics.not_computed) return "its numbers were not computed";
  if (!numerics.gradient_error) return "its numerics are the reference";
  if (*numerics.gradient_error == 0 && numerics.loss_error.value_or(0) == 0) {
    return "loss and gradients equal the reference's";
  }
  const std::string limit =
      numerics.gradient_limit ? fmt::format(", allowed {}", format_error(*numerics.gradient_limit)) : "";
  return fmt::format("loss and gradients within {}'s table (gradient error {}{})", precision_of(record),
                     format_error(*numerics.gradient_error), limit);
}

// Faster only within the noise, and not smaller: nothing is gained by leaving the reference.
bool gains_nothing(const Answer& answer) {
  const bool known = !answer.speed->low || *answer.speed->low > 1;
  return !known && peak_bytes(answer.best->record) >= peak_bytes(answer.baseline->record);
}

std::string keep_sentence(const Answer& answer, const Names& names) {
  return fmt::format(
      "Keep the plain reference, {}: no verified cell is measurably faster. The fastest, {}, has {} its speed at {}.",
      names.advice(answer.baseline->record), names.label(answer.best->record), format_ratio(*answer.speed),
      memory_clause(answer.best->record, answer.baseline->record));
}

std::string faster_sentence(const Answer& answer, const Names& names) {
  const Record &best = answer.best->record, &baseline = answer.baseline->record;
  const std::string speed = format_ratio(*answer.speed), memory = memory_clause(best, baseline);
  if (!answer.speed->low) {
    return fmt::format(
        "No sure answer from one round, which gives no interval: {} was the fastest, {} the speed of {} "
        "at {}; {}.",
        names.advice(best), speed, names.label(baseline), memory, numerics_clause(best));
  }
  if (*answer.speed->low > 1) {
    return fmt::format("Use {}: {} the speed of {} at {}; {}.", names.advice(best), speed, names.label(baseline),
                       memory, numerics_clause(best));
  }
  if (*answer.speed->high > widest_interval * *answer.speed->low) {
    return fmt::format(
        "No answer yet: the visits differ too much to tell any speed. {} needs {} than {}, at a speed that "
        "may be anything within {}; {}.",
        names.advice(best), memory, names.label(baseline), speed, numerics_clause(best));
  }
  return fmt::format("Use {} for its memory: {} than {}; its speed, {}, these visits cannot tell from equal; {}.",
                     names.advice(best), memory, names.label(baseline), speed, numerics_clause(best));
}

bool is_settled(const Answer& answer) {
  if (answer.best == nullptr) return false;
  if (answer.best == answer.baseline || !answer.speed) return true;
  if (!answer.speed->low || gains_nothing(answer)) return false;
  return *answer.speed->low > 1 || *answer.speed->high <= widest_interval * *answer.speed->low;
}

// The reference is the fastest: say so, with the nearest rival.
std::string baseline_sentence(const MeasuredRun& run, const Answer& answer, const Names& names) {
  const Cell* nearest = nullptr;
  for (const Cell& cell : run.cells) {
    if (&cell == answer.baseline || !has_time(cell.record) || !interchangeable(cell.record, answer.baseline->record))
      continue;
    if (nearest == nullptr || time_per_token(cell.record) < time_per_token(nearest->record)) nearest = &cell;
  }
  const std::string keep = fmt::format("Keep the plain reference, {}", names.advice(answer.baseline->record));
  if (nearest == nullptr) return keep + ": no other cell could be compared with it.";
  const std::optional<Interval> ratio = time_ratio(*nearest, *answer.baseline);
  const std::string speed = ratio ? format_ratio(inverse(*ratio)) : "less than 1×";
  return fmt::format("{}: no verified cell is faster. The nearest, {}, has {} its speed at {}.", keep,
                     names.label(nearest->record), speed, memory_clause(nearest->record, answer.baseline->record));
}

// Cells that may yet be measured, or verified once their reference is.
bool is_unfinished(const MeasuredRun& run) {
  return std::any_of(run.cells.begin(), run.cells.end(), [](const Cell& cell) {
    return cell.record.outcome == Outcome::planned ||
           (cell.record.outcome == Outcome::ok && !may_show_time(cell.record));
  });
}

std::string sentence_of(const MeasuredRun& run, const Answer& answer, const Names& names) {
  if (answer.best == nullptr && is_unfinished(run)) {
    const auto command = run.environment.find("command");
    return "This run is not finished, so there is nothing to recommend yet" +
           (command != run.environment.end() && command->is_string() ? "; go on with: " + command->get<std::string>()
                                                                     : std::string("."));
  }
  if (answer.best == nullptr) {
    return "No cell was both measured and verified, so there is nothing to recommend; the table of cells says why.";
  }
  if (answer.baseline == nullptr || !has_time(answer.baseline->record)) {
    return fmt::format("Use {}: {} a step and {}; the reference cell was not measured, so there is no ratio.",
                       names.advice(answer.best->record), format_time(answer.best->record.step_time_ns->median),
                       format_bytes(static_cast<double>(peak_bytes(answer.best->record))));
  }
  if (answer.best == answer.baseline) return baseline_sentence(run, answer, names);
  if (!answer.speed) {
    return fmt::format("Use {}: the fastest by {} a step, though never in one round with {}.",
                       names.advice(answer.best->record), format_time(answer.best->record.step_time_ns->median),
                       names.label(answer.baseline->record));
  }
  return gains_nothing(answer) ? keep_sentence(answer, names) : faster_sentence(answer, names);
}

// A cell not measurably slower than the best that needs clearly less memory.
void note_smaller_equal(const MeasuredRun& run, const Names& names, Answer& answer) {
  const Cell* smallest = nullptr;
  for (const Cell& cell : run.cells) {
    if (&cell == answer.best || !has_time(cell.record) || !interchangeable(cell.record, answer.best->record)) continue;
    const std::optional<Interval> ratio = time_ratio(cell, *answer.best);
    // Sure to be less than 5 % slower: a wide interval that holds 1 only says that nothing is known.
    if (!ratio || !ratio->low || *ratio->low > 1 || *ratio->high > 1.05) continue;
    if (static_cast<double>(peak_bytes(cell.record)) > 0.98 * static_cast<double>(peak_bytes(answer.best->record)))
      continue;
    if (smallest == nullptr || peak_bytes(cell.record) < peak_bytes(smallest->record)) smallest = &cell;
  }
  if (smallest == nullptr) return;
  answer.notes.push_back(fmt::format("{} is not measurably slower ({} the step time) and needs {}.",
                                     names.label(smallest->record), format_ratio(*time_ratio(*smallest, *answer.best)),
                                     memory_clause(smallest->record, answer.best->record)));
}

// Cells whose times the visits cannot tell from the best's: between them memory decides, not speed.
void note_not_told_apart(const MeasuredRun& run, const Names& names, Answer& answer) {
  std::vector<std::pair<double, std::string>> rivals;
  for (const Cell& cell : run.cells) {
    if (&cell == answer.best || !has_time(cell.record) || !interchangeable(cell.record, answer.best->record)) continue;
    const std::optional<Interval> ratio = time_ratio(cell, *answer.best);
    if (!ratio || !ratio->low || *ratio->low > 1 || *ratio->high < 1) continue;
    rivals.emplace_back(ratio->middle,
                        fmt::format("{} at {} with {}", names.label(cell.record), format_ratio(inverse(*ratio)),
                                    memory_clause(cell.record, answer.best->record)));
  }
  if (rivals.empty()) return;
  std::sort(rivals.begin(), rivals.end());
  constexpr std::size_t most = 3;
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(most, rivals.size()); ++i) named.push_back(rivals[i].second);
  answer.notes.push_back(
      fmt::format("The speed of {} is not told apart from that of {} other{}: {}{}.", names.label(answer.best->record),
                  rivals.size() == 1 ? "one" : std::to_string(rivals.size()), rivals.size() == 1 ? "" : "s",
                  fmt::format("{}", fmt::join(named, "; ")), rivals.size() > most ? "; and more" : ""));
}

void note_least_memory(const Names& names, Answer& answer) {
  if (answer.frontier.size() < 2) return;
  const Cell& smallest = *answer.frontier.front();
  const std::optional<Interval> ratio = answer.baseline ? time_ratio(smallest, *answer.baseline) : std::nullopt;
  if (&smallest == answer.best || &smallest == answer.baseline || !ratio) return;
  answer.notes.push_back(
      fmt::format("Where memory is short: {} needs {} ({}), at {} the reference's speed.", names.label(smallest.record),
                  format_bytes(static_cast<double>(peak_bytes(smallest.record))),
                  memory_clause(smallest.record, answer.baseline->record), format_ratio(inverse(*ratio))));
}

// What a reader must know before the numbers: a machine that was busy with something else.
void note_disturbance(const MeasuredRun& run, Answer& answer) {
  int disturbed = 0, visits = 0;
  for (const Cell& cell : run.cells) {
    for (const Visit& visit : cell.visits) {
      if (visit.kind != VisitKind::timed || visit.outcome != Outcome::ok) continue;
      ++visits;
      disturbed += visit.disturbance.disturbed ? 1 : 0;
    }
  }
  constexpr int one_in = 4;
  if (disturbed * one_in < visits || disturbed == 0) return;
  answer.notes.push_back(
      fmt::format("{} of {} timed visits were disturbed by something else on this machine: measure "
                  "again when it is quiet before you rely on the times.",
                  disturbed, visits));
}

void note_other_steps(const MeasuredRun& run, const Names& names, Answer& answer) {
  if (answer.baseline == nullptr || !has_time(answer.baseline->record)) return;
  const auto others = std::count_if(run.cells.begin(), run.cells.end(), [&](const Cell& cell) {
    return has_time(cell.record) && cell.record.numerics.reference != answer.baseline->record.numerics.reference;
  });
  if (others == 0) return;
  answer.notes.push_back(
      fmt::format("{} of {} cells train another model or on another batch than {}: each is held against "
                  "a reference of its own, and is no alternative here.",
                  others, run.cells.size(), names.label(answer.baseline->record)));
}

void note_limits(const MeasuredRun& run, Answer& answer) {
  const auto count = [&](auto&& test) { return std::count_if(run.cells.begin(), run.cells.end(), test); };
  const auto widened =
      count([](const Cell& cell) { return has_time(cell.record) && cell.record.numerics.arithmetic == "widened"; });
  if (widened > 0) {
    answer.notes.push_back(
        fmt::format("{} cells compute in a wider format than they store (this machine lacks theirs): their bytes hold "
                    "anywhere, their times are "
                    "compared only among themselves.",
                    widened));
  }
  const auto unverified = count([](const Cell& cell) { return cell.record.outcome == Outcome::unverified; });
  if (unverified > 0) {
    answer.notes.push_back(fmt::format(
        "{} cells were not recommended because their numerics were not those of the reference.", unverified));
  }
  if (is_simulated(run))
    answer.notes.push_back(
        "The device is simulated: no time here was taken on hardware. A simulated time is exact: its intervals have no "
        "width and say nothing of a card's.");
  if (answer.best != nullptr && answer.best->record.step_time_ns->visits == 1) {
    answer.notes.push_back("One visit a cell: drift between rounds was not controlled, so no interval can be given.");
  }
}

std::int64_t machine_bytes(const MeasuredRun& run) {
  const auto found = run.environment.find("memory_bytes");
  return found != run.environment.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

std::vector<Fit> fits_of(const MeasuredRun& run, const Answer& answer) {
  std::vector<Fit> fits;
  for (const int size : memory_sizes_gb)
    fits.push_back({.size = fmt::format("{} GB", size), .bytes = std::int64_t{size} * 1'000'000'000});
  if (const std::int64_t bytes = machine_bytes(run); bytes > 0) {
    fits.push_back({.size = fmt::format("this machine ({})", format_bytes(static_cast<double>(bytes))),
                    .bytes = bytes,
                    .this_machine = true});
  }
  for (Fit& fit : fits) {
    for (const Cell* cell : answer.frontier) {  // ever larger and faster: the last that fits is the fastest
      if (peak_bytes(cell->record) <= fit.bytes) fit.cell = cell;
    }
    if (fit.cell == nullptr && !answer.frontier.empty())
      fit.smallest_bytes = peak_bytes(answer.frontier.front()->record);
  }
  return fits;
}

}  // namespace

Answer answer_of(const MeasuredRun& run, const Names& names) {
  Answer answer;
  answer.baseline = baseline_of(run);
  if (answer.baseline != nullptr && has_time(answer.baseline->record)) {
    answer.frontier = frontier_of(run, *answer.baseline);
  } else {
    for (const Cell& cell : run.cells) {  // without a reference: compared with the first that has a time
      if (!has_time(cell.record)) continue;
      answer.frontier = frontier_of(run, cell);
      break;
    }
  }
  if (!answer.frontier.empty()) answer.best = answer.frontier.back();
  if (answer.best != nullptr && answer.baseline != nullptr) {
    if (const std::optional<Interval> ratio = time_ratio(*answer.best, *answer.baseline))
      answer.speed = inverse(*ratio);
  }
  answer.settled = is_settled(answer);
  answer.sentence = sentence_of(run, answer, names);
  if (is_simulated(run)) answer.sentence = simulated_sentence(answer.sentence);
  answer.fits = fits_of(run, answer);
  note_disturbance(run, answer);
  note_other_steps(run, names, answer);
  if (answer.best != nullptr) note_smaller_equal(run, names, answer);
  if (answer.best != nullptr) note_not_told_apart(run, names, answer);
  note_least_memory(names, answer);
  note_limits(run, answer);
  return answer;
}

}  // namespace stepscope
