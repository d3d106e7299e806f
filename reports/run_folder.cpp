#include "reports/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "model/base/error.h"
#include "reports/json_fields.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

// K of visit-K.json; -1 for any other file.
int visit_number(const fs::path& file) {
  const std::string stem = file.stem().string();
  int number = -1;
  if (file.extension() != ".json" || !stem.starts_with("visit-")) return -1;
  const auto [end, error] = std::from_chars(stem.data() + 6, stem.data() + stem.size(), number);
  return error == std::errc{} && end == stem.data() + stem.size() ? number : -1;
}

std::vector<Visit> read_visits(const fs::path& folder) {
  std::vector<std::pair<int, fs::path>> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (const int number = visit_number(entry.path()); number >= 0) files.emplace_back(number, entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Visit> visits;
  for (const auto& [number, file] : files) visits.push_back(read_visit(file));
  return visits;
}

// `stepscope run` writes it first.
nlohmann::ordered_json read_environment(const fs::path& file) {
  constexpr std::string_view schema = "stepscope.environment/1";
  if (!fs::exists(file))
    throw UsageError(fmt::format("{}: is missing; a run has one, of schema \"{}\"", file.string(), schema));
  nlohmann::ordered_json environment = parse_json_file(file.string());
  require_schema(environment, schema, file.string());
  return environment;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream) text << stream.rdbuf();
  return text.str();
}

}  // namespace

VisitsByRound Cell::timed_medians() const {
  VisitsByRound medians;
  for (const Visit& visit : visits) {
    if (visit.kind != VisitKind::timed || visit.outcome != Outcome::ok || visit.step_time_ns.empty()) continue;
    medians[visit.round].push_back(median_of(visit.step_time_ns));
  }
  return medians;
}

std::optional<int> Cell::visits_left() const {
  if (!record.step_time_ns) return std::nullopt;
  const auto there = std::count_if(visits.begin(), visits.end(), [](const Visit& visit) {
    return visit.kind == VisitKind::timed && visit.outcome == Outcome::ok;
  });
  return there < record.step_time_ns->visits ? std::optional(static_cast<int>(there)) : std::nullopt;
}

const Cell* MeasuredRun::find(std::string_view id) const {
  const auto found = std::find_if(cells.begin(), cells.end(), [&](const Cell& cell) { return cell.record.id == id; });
  return found == cells.end() ? nullptr : &*found;
}

MeasuredRun read_run(const fs::path& folder) {
  if (!fs::is_directory(folder / "cells")) {
    throw UsageError(
        fmt::format("{}: no folder \"cells\" in it, so it is not a run; expected what `stepscope run --out` wrote",
                    folder.string()));
  }
  MeasuredRun run;
  run.name = fs::weakly_canonical(folder).filename().string();
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "cells")) {
    if (!entry.is_directory()) continue;
    run.cells.push_back({.record = read_record(entry.path() / "record.json"), .visits = read_visits(entry.path())});
  }
  if (run.cells.empty()) throw UsageError(fmt::format("{}: the run has no cells yet", folder.string()));
  std::sort(run.cells.begin(), run.cells.end(), [](const Cell& a, const Cell& b) {
    return std::pair(a.record.position, a.record.id) < std::pair(b.record.position, b.record.id);
  });
  run.environment = read_environment(folder / "environment.json");
  if (fs::exists(folder / "calibration.json")) run.calibration = read_calibration(folder / "calibration.json");
  if (fs::exists(folder / "choices.json")) run.choices = read_choices(folder / "choices.json");
  if (fs::exists(folder / "time_model.json")) run.times = read_time_model(folder / "time_model.json");
  run.matrix_text = text_of(folder / "matrix.toml");
  return run;
}

}  // namespace stepscope
