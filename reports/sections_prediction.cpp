// Predicted against measured: bytes and step times of every measured cell side by side, and what the times were predicted from.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>
#include <tuple>

#include "reports/figures.h"
#include "reports/format.h"
#include "reports/prediction.h"
#include "reports/sections.h"

namespace stepscope {

namespace {

bool is_predicted(const Cell& cell) { return has_time(cell.record) && cell.record.predicted_time.has_value(); }

double error_of(const Record& record) { return record.predicted_time->step_ns / record.step_time_ns->median - 1; }

std::string signed_percent(double fraction) {
  return fmt::format("{}{:.1f} %", fraction < 0 ? "−" : "+", 100 * std::abs(fraction));
}

std::string error_sentence(const Analysis& analysis, const LeftOutError& error) {
  const Cell* worst = analysis.run.find(error.worst_cell);
  std::string text = fmt::format(
      "The step time of a cell is predicted from the operations of the other cells alone. Over {} cells the middle "
      "prediction is off by {}, the worst by {} ({}).",
      error.cells, format_percent(error.median), format_percent(error.worst), analysis.names.label(worst->record));
  if (error.rank_correlation)
    text += fmt::format(" Predicted and measured times have a rank correlation of {:.2f}", *error.rank_correlation);
  const OrderOfPairs order = order_of_pairs(analysis.run);
  if (error.rank_correlation && order.pairs > 0)
    text += fmt::format(", and of {} pairs that were predicted more than 10 % apart, {} came out in that order",
                        order.pairs, order.in_order == order.pairs ? "all" : std::to_string(order.in_order));
  if (error.rank_correlation) text += ".";
  const auto disturbed = std::count_if(analysis.run.cells.begin(), analysis.run.cells.end(), [](const Cell& cell) {
    return is_predicted(cell) && cell.record.disturbed_visits > 0;
  });
  if (disturbed > 0)
    text += fmt::format(" {} of the cells {} disturbed by other work while measured, which no prediction knows of.",
                        disturbed, disturbed == 1 ? "was" : "were");
  return text;
}

// How much of the predictions rests on operations that no other cell ran.
std::string share_sentence(const MeasuredRun& run) {
  double least = 1;
  for (const Cell& cell : run.cells)
    if (is_predicted(cell)) least = std::min(least, cell.record.predicted_time->measured_share.value_or(0));
  if (least > 0.9995)
    return "Every operation of every cell was measured in another cell with the same types and shapes.";
  return fmt::format(
      "At least {} of each predicted time are operations that other cells ran with the same types and shapes; the rest "
      "follows from the efficiency of the most alike: same kind, phase and types, then kind and types, then kind.",
      format_percent(least));
}

std::string source_sentence(const TimeModelFile& times) {
  std::string text = "Kept in time_model.json: times of ";
  text += fmt::format("{} operations by kind, phase, types and shapes, from the profiles of ",
                      format_count(static_cast<double>(times.model.operations.size())));
  for (std::size_t i = 0; i < times.sources.size(); ++i) {
    const TimeModelSource& source = times.sources[i];
    text += fmt::format("{}{} cell{} of {} (commit {}, {})", i > 0 ? ", " : "", source.cells,
                        source.cells == 1 ? "" : "s", source.run, source.commit.substr(0, 12), source.time);
  }
  return text +
         fmt::format(
             ", on {} with {} threads. A profile says how a step divides, the timed visits how long it is: profiled "
             "times are scaled to timed steps (by {:.3f} in the middle cell). What lies between operations, {} a step, "
             "is learned too and comes to each prediction.",
             times.key.processor, times.key.threads, times.timed_over_profiled, format_time(times.model.between_ns));
}

Table predicted_table(const Analysis& analysis) {
  double time = 0, bytes = 0;
  for (const Cell& cell : analysis.run.cells) {
    if (!is_predicted(cell)) continue;
    time = std::max({time, cell.record.step_time_ns->median, cell.record.predicted_time->step_ns});
    bytes = std::max(bytes, static_cast<double>(cell.record.bytes.predicted_peak));
  }
  const Unit times = time_unit(time), sizes = bytes_unit(bytes);
  Table table{
      .name = "predicted",
      .caption = "Predicted and measured, side by side. The time of a cell is predicted without having seen it.",
      .columns = {{.title = "cell", .number = false},
                  {.title = "planned", .unit = sizes.name, .help = "bytes predicted"},
                  {.title = "used", .unit = sizes.name, .help = "bytes measured"},
                  {.title = "off by", .unit = "B", .help = "used − planned"},
                  {.title = "predicted", .unit = times.name, .help = "time of a step"},
                  {.title = "measured", .unit = times.name, .help = "time of a step"},
                  {.title = "95 %", .unit = times.name, .help = "t-interval over visits"},
                  {.title = "off by", .help = "predicted / measured − 1"},
                  {.title = "alike",
                   .help = "share of the time whose operations other cells ran with the same types and shapes"}},
      .sortable = true,
      .shown_rows = analysis.run.cells.size() > 40 ? std::size_t{30} : std::size_t{0}};
  const auto size = [&](std::int64_t value) {
    return number_cell(in(sizes, static_cast<double>(value)), static_cast<double>(value));
  };
  for (const Cell& cell : analysis.run.cells) {
    if (!is_predicted(cell)) continue;
    const Record& record = cell.record;
    const StepTime& measured = *record.step_time_ns;
    const std::optional<std::int64_t> used = record.bytes.used_peak;
    const auto difference = static_cast<double>(used.value_or(0) - record.bytes.predicted_peak);
    const double share = record.predicted_time->measured_share.value_or(0);
    table.rows.push_back(
        {text_cell(analysis.names.label(record), &cell == analysis.best() ? "best" : ""),
         size(record.bytes.predicted_peak), used ? size(*used) : no_value(),
         used ? number_cell(format_count(difference), difference, difference == 0 ? "good" : "bad") : no_value(),
         number_cell(in(times, record.predicted_time->step_ns), record.predicted_time->step_ns),
         number_cell(in(times, measured.median), measured.median),
         measured.low ? text_cell(fmt::format("{}–{}", in(times, *measured.low), in(times, *measured.high)), "muted")
                      : no_value(),
         number_cell(signed_percent(error_of(record)), error_of(record)), number_cell(format_percent(share), share)});
  }
  return table;
}

struct Efficiency {
  double time_ns = 0, floor_ns = 0;
  std::int64_t runs = 0;
  int sizes = 0;
};
using Kind = std::tuple<std::string, std::string, std::string>;  // operation, types, phase

std::vector<std::pair<Kind, Efficiency>> efficiencies(const TimeModel& model) {
  std::map<Kind, Efficiency> kinds;
  for (const MeasuredOperation& one : model.operations) {
    const auto runs = static_cast<double>(one.runs);
    Efficiency& kind = kinds[{one.work.operation, types_of(one.work.operands), one.work.phase}];
    kind.time_ns += runs * one.time_ns;
    kind.floor_ns += runs * one.floor_ns;
    kind.runs += one.runs;
    ++kind.sizes;
  }
  std::vector<std::pair<Kind, Efficiency>> rows(kinds.begin(), kinds.end());
  std::stable_sort(rows.begin(), rows.end(),
                   [](const auto& a, const auto& b) { return a.second.time_ns > b.second.time_ns; });
  return rows;
}

// "u8 fp32 fp32 > fp32" -> "u8 fp32×2 > fp32"
std::string shortened(const std::string& types) {
  std::istringstream words(types);
  std::string text, last, word;
  int times = 0;
  const auto close = [&] { text += (text.empty() ? "" : " ") + last + (times > 1 ? fmt::format("×{}", times) : ""); };
  while (words >> word) {
    if (times > 0 && word == last) {
      ++times;
      continue;
    }
    if (times > 0) close();
    last = word;
    times = 1;
  }
  if (times > 0) close();
  return text;
}

Table efficiency_table(const TimeModel& model) {
  const std::vector<std::pair<Kind, Efficiency>> rows = efficiencies(model);
  double all = 0;
  for (const auto& [key, kind] : rows) all += kind.time_ns;
  Table table{.name = "efficiency",
              .caption =
                  "What operations reach of this machine's roofline, over all cells; most time first. This is what "
                  "predicts an operation of a size that was never measured.",
              .columns = {{.title = "operation", .number = false},
                          {.title = "types", .number = false, .help = "operands > results"},
                          {.title = "phase", .number = false},
                          {.title = "sizes", .help = "of operands, each measured"},
                          {.title = "runs", .help = "in a step of each cell, together"},
                          {.title = "share of time"},
                          {.title = "efficiency", .unit = "%", .help = "roofline time / time"}},
              .sortable = true,
              .shown_rows = 12};
  for (const auto& [key, kind] : rows) {
    const auto& [operation, types, phase] = key;
    const double share = kind.time_ns / all, efficiency = kind.floor_ns / kind.time_ns;
    table.rows.push_back({text_cell(operation), text_cell(shortened(types)), text_cell(phase),
                          number_cell(std::to_string(kind.sizes), kind.sizes),
                          number_cell(format_count(static_cast<double>(kind.runs)), static_cast<double>(kind.runs)),
                          number_cell(format_percent(share), share),
                          number_cell(fmt::format("{:.1f}", 100 * efficiency), efficiency)});
  }
  return table;
}

}  // namespace

std::optional<Figure> predicted_time_figure(const Analysis& analysis) {
  Figure figure{.name = "predicted_time",
                .title = "Step time, predicted and measured",
                .caption =
                    "Each point is a cell, predicted from the others; on the line the prediction is right. The band "
                    "is 10 % to either side, bars are 95 % intervals, cut where they leave the frame.",
                .labels = {{"x", "predicted time of a step"}, {"y", "measured"}, {"measured", "measured"}},
                .columns = {"kind", "cell", "label", "precision", "predicted_ns", "measured_ns", "low_ns", "high_ns",
                            "is_labelled", "error"}};
  double least = 0, most = 0;
  std::size_t points = 0;
  const LeftOutError error = left_out_error(analysis.run).value_or(LeftOutError{});
  for (const Cell& cell : analysis.run.cells) {
    if (!is_predicted(cell)) continue;
    const Record& record = cell.record;
    const double predicted = record.predicted_time->step_ns, measured = record.step_time_ns->median;
    least = points == 0 ? std::min(predicted, measured) : std::min({least, predicted, measured});
    most = std::max({most, predicted, measured});
    ++points;
    const bool labelled = std::find(analysis.shown.begin(), analysis.shown.end(), &cell) != analysis.shown.end() ||
                          record.id == error.worst_cell;
    figure.rows.push_back({"cell", record.id, analysis.names.label(record), precision_of(record), raw(predicted),
                           raw(measured), record.step_time_ns->low ? raw(*record.step_time_ns->low) : "",
                           record.step_time_ns->high ? raw(*record.step_time_ns->high) : "", labelled ? "1" : "0",
                           signed_percent(error_of(record))});
  }
  if (points < 3) return std::nullopt;
  for (const double end : {least / 1.15, most * 1.15})
    figure.rows.push_back({"right", "", "", "", raw(end), raw(end), raw(end / 1.1), raw(end * 1.1), "0", ""});
  return figure;
}

ReportSection prediction_section(const Analysis& analysis) {
  ReportSection section{.id = "prediction", .title = "Predicted and measured"};
  const std::optional<LeftOutError> error = left_out_error(analysis.run);
  if (!error) {
    section.blocks.push_back(paragraph(
        analysis.run.calibration
            ? "No step time was predicted: that needs profiles of at least two cells with times."
            : "No step time was predicted: what this machine does at most was not measured. `stepscope devices "
              "--calibrate` does it in a few seconds, before a run."));
    return section;
  }
  section.blocks.push_back(paragraph(error_sentence(analysis, *error)));
  section.blocks.push_back(paragraph(share_sentence(analysis.run)));
  if (auto figure = predicted_time_figure(analysis)) section.blocks.push_back(block(std::move(*figure)));
  section.blocks.push_back(block(predicted_table(analysis)));
  if (!analysis.run.times) return section;
  section.blocks.push_back(block(efficiency_table(analysis.run.times->model)));
  section.blocks.push_back(note(source_sentence(*analysis.run.times)));
  return section;
}

}  // namespace stepscope
