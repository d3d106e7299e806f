#include "harness/merge.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/cell.h"
#include "reports/prediction.h"
#include "reports/run_folder.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Part {
  fs::path folder;
  MeasuredRun run;
  int first_round = 0;  // is added to its rounds
};

constexpr std::pair<const char*, const char*> same_keys[] = {{"device_kind", "kinds of device, real and simulated"},
                                                             {"program_hash", "builds of the program"},
                                                             {"matrix_hash", "matrices"},
                                                             {"data_hash", "texts, vocabularies or masks"},
                                                             {"device", "devices"},
                                                             {"processor", "processors"},
                                                             {"threads", "numbers of threads"}};

int last_round(const MeasuredRun& run) {
  int last = 0;
  for (const Cell& cell : run.cells)
    for (const Visit& visit : cell.visits) last = std::max(last, visit.round);
  return last;
}

// A record that tells of visits whose files are not there is of a folder that was copied half-way.
void require_whole(const Part& part) {
  for (const Cell& cell : part.run.cells) {
    if (const std::optional<int> there = cell.visits_left())
      throw UsageError(fmt::format("{}: its record tells of {} timed visits, {} are there: was it copied half-way?",
                                   (part.folder / "cells" / cell.record.id).string(), cell.record.step_time_ns->visits,
                                   *there));
  }
}

void require_together(const Part& first, const Part& other) {
  for (const auto& [key, what] : same_keys) {
    const auto value = [&key = key](const Part& part) { return part.run.environment.value(key, Json()); };
    if (value(first) != value(other))
      throw UsageError(fmt::format("{} and {} are of different {}: they do not belong together", first.folder.string(),
                                   other.folder.string(), what));
  }
}

std::vector<Part> read_parts(const MergeRequest& request) {
  std::vector<Part> parts;
  std::set<fs::path> met;
  int rounds = 0;
  for (const fs::path& folder : request.parts) {
    std::error_code error;
    if (!met.insert(fs::weakly_canonical(folder, error)).second)
      throw UsageError(fmt::format("{}: is named twice", folder.string()));
    parts.push_back({.folder = folder, .run = read_run(folder), .first_round = rounds});
    require_whole(parts.back());
    require_together(parts.front(), parts.back());
    rounds += last_round(parts.back().run);
  }
  return parts;
}

// One program on one kind of machine computes the same bits.
void require_same_numerics(const fs::path& one, const fs::path& other) {
  const fs::path name = "numerics.safetensors";
  if (fs::exists(one / name) && fs::exists(other / name) && read_file(one / name) != read_file(other / name))
    throw UsageError(fmt::format("{} and {}: step 1 of one cell gave different numbers: they do not belong together",
                                 one.string(), other.string()));
}

bool is_rewritten(const fs::path& file) {
  const std::string name = file.filename().string();
  return name == "record.json" || (name.starts_with("visit-") && file.extension() == ".json") || is_temporary(file);
}

void copy_cell(const fs::path& from, const fs::path& to) {
  fs::create_directories(to);
  for (const fs::directory_entry& file : fs::directory_iterator(from))
    if (!is_rewritten(file.path()) && !fs::exists(to / file.path().filename()))
      fs::copy_file(file.path(), to / file.path().filename());
}

// As the coordinator numbers them: three kinds a round.
std::string visit_file(const Visit& visit) {
  return fmt::format("visit-{}.json", 3 * (visit.round - 1) + 1 + static_cast<int>(visit.kind));
}

struct Sources {  // of one cell
  std::vector<std::pair<const Part*, const Cell*>> parts;
};

int merge_cell(const Sources& sources, const fs::path& to) {
  std::vector<Visit> visits;
  for (const auto& [part, cell] : sources.parts) {
    copy_cell(part->folder / "cells" / cell->record.id, to);
    for (Visit visit : cell->visits) {
      visit.round += part->first_round;
      write_visit(to / visit_file(visit), visit);
      visits.push_back(std::move(visit));
    }
  }
  write_record(to / "record.json", record_of(sources.parts.front().second->record, visits));
  return static_cast<int>(visits.size());
}

Json merged_environment(const std::vector<Part>& parts, const std::string& command) {
  Json environment = parts.front().run.environment;
  environment["command"] = command;
  environment["merged"] = Json::array();
  std::vector<std::string> notes;
  for (const Part& part : parts) {
    environment["merged"].push_back({{"run", part.run.name},
                                     {"time", part.run.environment.value("time", "")},
                                     {"first_round", part.first_round + 1}});
    for (const auto& note : part.run.environment.value("notes", Json::array()))
      if (note.is_string() && std::find(notes.begin(), notes.end(), note.get<std::string>()) == notes.end())
        notes.push_back(note.get<std::string>());
  }
  environment["notes"] = notes;
  return environment;
}

}  // namespace

Merged merge_runs(const MergeRequest& request) {
  const std::vector<Part> parts = read_parts(request);
  if (fs::exists(request.out))
    throw UsageError(fmt::format("--out {}: is there already; name a new folder", request.out.string()));
  std::map<std::string, Sources> cells;
  for (const Part& part : parts)
    for (const Cell& cell : part.run.cells) {
      Sources& sources = cells[cell.record.id];
      if (!sources.parts.empty())
        require_same_numerics(sources.parts.front().first->folder / "cells" / cell.record.id,
                              part.folder / "cells" / cell.record.id);
      sources.parts.emplace_back(&part, &cell);
    }
  const fs::path half = request.out.string() + ".partial";
  Merged merged{.cells = static_cast<int>(cells.size())};
  std::error_code error;
  fs::remove_all(half, error);
  try {
    fs::create_directories(half / "cells");
    for (const auto& [id, sources] : cells) merged.visits += merge_cell(sources, half / "cells" / id);
    for (const char* file : {"matrix.toml", "calibration.json", "choices.json"})
      if (fs::exists(parts.front().folder / file)) fs::copy_file(parts.front().folder / file, half / file);
    write_atomically(half / "environment.json", merged_environment(parts, request.command).dump(2) + "\n");
    (void)publish_predictions(half);
    fs::rename(half, request.out);
  } catch (const fs::filesystem_error& failed) {
    fs::remove_all(half, error);
    throw MachineError(fmt::format("--out {}: cannot be written: {}", request.out.string(), failed.code().message()));
  } catch (...) {
    fs::remove_all(half, error);
    throw;
  }
  return merged;
}

}  // namespace stepscope
