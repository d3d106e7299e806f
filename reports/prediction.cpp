#include "reports/prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "reports/comparison.h"
#include "reports/statistics.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr double clearly_apart = 0.10;  // predicted times that differ by more should be measured in that order

struct Profiled {  // a cell's step by its operations
  std::vector<TimedWork> work;  // times of profiled visits, a step
  double step_ns = 0;  // profiled
  [[nodiscard]] double operations_ns() const {
    return std::accumulate(work.begin(), work.end(), 0.0,
                           [](double sum, const TimedWork& row) { return sum + row.time_ns; });
  }
};

std::optional<Profiled> profiled(const Cell& cell) {
  Profiled sum;
  std::map<OperationWork, std::size_t> row_of;
  int visits = 0;
  for (const Visit& visit : cell.visits) {
    if (visit.kind != VisitKind::profiled || visit.outcome != Outcome::ok || !visit.operations) continue;
    if (visit.operations->empty() || visit.step_time_ns.empty()) continue;
    ++visits;
    sum.step_ns += std::accumulate(visit.step_time_ns.begin(), visit.step_time_ns.end(), 0.0) /
                   static_cast<double>(visit.step_time_ns.size());
    for (const TimedWork& row : *visit.operations) {
      const auto [place, fresh] = row_of.try_emplace(row.work, sum.work.size());
      if (fresh)
        sum.work.push_back(row);
      else
        sum.work[place->second].time_ns += row.time_ns;
    }
  }
  if (visits == 0) return std::nullopt;
  sum.step_ns /= visits;
  for (TimedWork& row : sum.work) row.time_ns /= visits;
  return sum;
}

// Of visits that nothing else disturbed, where there are any; the middle one, so that one slow visit moves nothing.
double timed_step_ns(const Cell& cell) {
  std::vector<double> all, quiet;
  for (const Visit& visit : cell.visits) {
    if (visit.kind != VisitKind::timed || visit.outcome != Outcome::ok || visit.step_time_ns.empty()) continue;
    all.push_back(median_of(visit.step_time_ns));
    if (!visit.disturbance.disturbed) quiet.push_back(all.back());
  }
  if (all.empty()) return cell.record.step_time_ns->median;
  return median_of(quiet.empty() ? all : quiet);
}

// Every cell's runs of each work, so that the model without one of them is soon made.
class Samples {
 public:
  Samples(const MeasuredRun& run, const Card& ceilings) : ceilings_(ceilings) {
    for (std::size_t c = 0; c < run.cells.size(); ++c) {
      const Cell& cell = run.cells[c];
      const std::optional<Profiled> profile = profiled(cell);
      if (!profile || !has_time(cell.record) || !(profile->step_ns > 0)) continue;
      const double scale = timed_step_ns(cell) / profile->step_ns;
      scales_.emplace_back(c, scale);
      between_.emplace_back(c, scale * std::max(0.0, profile->step_ns - profile->operations_ns()));
      for (const TimedWork& row : profile->work)
        if (row.count > 0 && row.time_ns > 0)
          runs_[row.work].push_back({c, scale * row.time_ns / static_cast<double>(row.count), row.count});
    }
  }

  // `left_out`: a cell's index, or one that no cell has.
  [[nodiscard]] TimeModel without(std::size_t left_out) const {
    TimeModel model{.ceilings = ceilings_, .operations = {}, .between_ns = middle(between_, left_out).value_or(0)};
    for (const auto& [work, samples] : runs_)
      if (const std::optional<MeasuredOperation> row = row_without(left_out, work, samples))
        model.operations.push_back(*row);
    return model;
  }
  [[nodiscard]] double scale_without(std::size_t left_out) const { return middle(scales_, left_out).value_or(1); }
  [[nodiscard]] int cells_without(std::size_t left_out) const {
    return static_cast<int>(
        std::count_if(scales_.begin(), scales_.end(), [&](const auto& entry) { return entry.first != left_out; }));
  }

 private:
  struct Sample {
    std::size_t cell;
    double run_ns;
    std::int64_t count;
  };

  static std::optional<double> middle(const std::vector<std::pair<std::size_t, double>>& of_cells,
                                      std::size_t left_out) {
    std::vector<double> values;
    for (const auto& [cell, value] : of_cells)
      if (cell != left_out) values.push_back(value);
    return values.empty() ? std::nullopt : std::optional(median_of(values));
  }

  // The middle cell's, so that one disturbed visit moves nothing.
  [[nodiscard]] std::optional<MeasuredOperation> row_without(std::size_t left_out, const OperationWork& work,
                                                             const std::vector<Sample>& samples) const {
    MeasuredOperation row{.work = work, .floor_ns = floor_ns(ceilings_, work)};
    std::vector<double> times;
    for (const Sample& sample : samples) {
      if (sample.cell == left_out) continue;
      times.push_back(sample.run_ns);
      row.runs += sample.count;
    }
    if (times.empty()) return std::nullopt;
    row.cells = static_cast<int>(times.size());
    row.time_ns = median_of(times);
    return row;
  }

  Card ceilings_;
  std::map<OperationWork, std::vector<Sample>> runs_;
  std::vector<std::pair<std::size_t, double>> between_, scales_;
};

std::string text_in(const nlohmann::ordered_json& environment, const char* key) {
  const auto found = environment.find(key);
  return found != environment.end() && found->is_string() ? found->get<std::string>() : "unknown";
}

struct Both {
  const Cell* cell;
  double predicted, measured;
};

std::vector<Both> cells_with_both(const MeasuredRun& run) {
  std::vector<Both> cells;
  for (const Cell& cell : run.cells)
    if (has_time(cell.record) && cell.record.predicted_time && cell.record.predicted_time->step_ns > 0)
      cells.push_back({&cell, cell.record.predicted_time->step_ns, cell.record.step_time_ns->median});
  return cells;
}

}  // namespace

std::optional<TimeModelFile> learn_times(const MeasuredRun& run, const std::string& left_out) {
  if (!run.calibration) return std::nullopt;
  const auto found =
      std::find_if(run.cells.begin(), run.cells.end(), [&](const Cell& cell) { return cell.record.id == left_out; });
  const auto index = static_cast<std::size_t>(found - run.cells.begin());
  const Samples samples(run, card_of(*run.calibration));
  TimeModelFile times{.key = run.calibration->key,
                      .sources = {{.run = run.name,
                                   .time = text_in(run.environment, "time"),
                                   .commit = text_in(run.environment, "commit"),
                                   .cells = samples.cells_without(index)}},
                      .left_out_error = {},
                      .timed_over_profiled = samples.scale_without(index),
                      .model = samples.without(index)};
  if (times.model.operations.empty()) return std::nullopt;
  return times;
}

std::vector<std::optional<PredictedStep>> predict_left_out(const MeasuredRun& run) {
  std::vector<std::optional<PredictedStep>> predictions(run.cells.size());
  if (!run.calibration) return predictions;
  const Samples samples(run, card_of(*run.calibration));
  for (std::size_t c = 0; c < run.cells.size(); ++c) {
    const std::optional<Profiled> step = profiled(run.cells[c]);
    if (!step) continue;
    const TimeModel others = samples.without(c);
    if (!others.operations.empty()) predictions[c] = predicted_step(others, step->work);
  }
  return predictions;
}

std::optional<LeftOutError> left_out_error(const MeasuredRun& run) {
  const std::vector<Both> cells = cells_with_both(run);
  if (cells.empty()) return std::nullopt;
  LeftOutError error{.cells = static_cast<int>(cells.size())};
  std::vector<double> errors, predicted, measured;
  for (const Both& both : cells) {
    errors.push_back(std::abs(both.predicted / both.measured - 1));
    predicted.push_back(both.predicted);
    measured.push_back(both.measured);
  }
  const auto worst = std::max_element(errors.begin(), errors.end());
  error.median = median_of(errors);
  error.worst = *worst;
  error.worst_cell = cells[static_cast<std::size_t>(worst - errors.begin())].cell->record.id;
  error.rank_correlation = rank_correlation(predicted, measured);
  return error;
}

OrderOfPairs order_of_pairs(const MeasuredRun& run) {
  const std::vector<Both> cells = cells_with_both(run);
  OrderOfPairs order;
  for (const Both& a : cells) {
    for (const Both& b : cells) {
      if (!(b.predicted > (1 + clearly_apart) * a.predicted)) continue;
      ++order.pairs;
      order.in_order += b.measured > a.measured ? 1 : 0;
    }
  }
  return order;
}

std::optional<TimeModelFile> publish_predictions(const fs::path& run_folder) {
  MeasuredRun run = read_run(run_folder);
  std::optional<TimeModelFile> times = learn_times(run);
  const fs::path file = run_folder / "time_model.json";
  if (!times) {
    fs::remove(file);  // an earlier one would tell of other records
    return std::nullopt;
  }
  const std::vector<std::optional<PredictedStep>> predictions = predict_left_out(run);
  for (std::size_t c = 0; c < run.cells.size(); ++c) {
    if (!predictions[c]) continue;
    Record& record = run.cells[c].record;
    const int others = times->sources.front().cells - (has_time(record) ? 1 : 0);
    record.predicted_time = {
        .step_ns = predictions[c]->time_ns,
        .card = times->key.processor,
        .source = fmt::format("operations measured in {} other cell{} of this run", others, others == 1 ? "" : "s"),
        .measured_share = predictions[c]->measured_share};
    write_record(run_folder / "cells" / record.id / "record.json", record);
  }
  times->left_out_error = left_out_error(run);
  write_time_model(file, *times);
  return times;
}

}  // namespace stepscope
