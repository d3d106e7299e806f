// `stepscope run`: every cell of a matrix, measured by worker processes. A failure is a result; a killed run resumes.
//     Coordinator coordinator({.matrix = matrix, .out = "runs/demo", .machine = this_cpu(2)});
//     const RunEnd end = coordinator.run();
// RUN/cells/ID/record.json is the truth, written anew after each visit; visits on disk are not made again, but those that a
// signal or the timeout ended are. One folder takes the parts of a matrix (`only`) one after the other.
// Throws UsageError before anything is written: bad cells, missing data, a folder that is no run or another program's.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/calibrate.h"
#include "harness/matrix.h"
#include "harness/progress.h"
#include "harness/run_files.h"
#include "model/program/cost.h"
#include "reports/record.h"
#include "reports/visit.h"

namespace stepscope {

struct RunRequest {
  Matrix matrix;
  std::filesystem::path out;
  Machine machine;
  std::string only;  // a cell's id; "": all. Its reference comes along
  int shard = 1, shards = 1;  // every shards-th cell from this one, with the references
  double time_limit_seconds = 0;  // 0: none. Lowers rounds, then learning steps
  double precision = 0;  // rounds are added until every step time's interval reaches no farther from it; 0: none are
  int most_rounds = 30;  // with precision
  std::string command;  // this run's own, to go on with
  std::string arguments;  // matrix, preset, --set ...: for the line that repeats a cell
  std::vector<std::string> words = {};  // the same, not quoted, for `stepscope tune`
  bool tunes = false;  // a card's matmuls, before the first visit
  KeptCalibration calibration = {};  // copied into the run
  bool silent = false;  // progress goes to RUN/run.log alone
  std::string extra_work_cell = {};  // whose timed steps take longer by this share, to see whether that is found
  double extra_work = 0;
};

struct RunEnd {
  bool interrupted = false;
  std::map<Outcome, int> outcomes;
  std::vector<std::string> notes;  // what was lowered, added, left out
};

class Coordinator {
 public:
  explicit Coordinator(RunRequest request);
  RunEnd run();

 private:
  struct Entry {  // a cell and what is known of it
    MatrixCell cell;
    int position = 0;  // in the whole matrix, from 1
    Record planned;
    std::string program;  // as text
    std::string reference;  // the id of its reference cell
    std::map<int, Visit> visits;  // by number
  };
  struct Due {
    Entry* entry;
    VisitKind kind;
    int round;
  };

  // Visits of a round have numbers of their own, so that the name on disk says which one it is.
  static int number_of(VisitKind kind, int round) { return 3 * (round - 1) + 1 + static_cast<int>(kind); }

  void list_cells();
  void plan_cells();
  void open_run();
  void resume_run(const std::filesystem::path& environment_file);
  void read_visits(Entry& entry);
  void tune_once();
  void measure_rounds();
  void measure_round(const std::vector<Due>& due, int round);
  void add_round_if_imprecise(int round);
  void measure_learning();
  void finish();
  void keep_times_of_run();
  [[nodiscard]] std::vector<Due> due_in(int round, bool profiled) const;
  [[nodiscard]] std::vector<Entry*> learners();
  [[nodiscard]] int rounds_within_limit(int round) const;
  [[nodiscard]] std::int64_t learning_steps_within_limit(const std::vector<Entry*>& learners) const;
  void visit(const Due& due);
  [[nodiscard]] Visit measured(const Due& due, const std::filesystem::path& file);
  void save(Entry& entry);
  [[nodiscard]] static std::vector<Visit> visits_of(const Entry& entry);
  [[nodiscard]] bool is_made(const Entry& entry, VisitKind kind, int round) const;
  [[nodiscard]] Record verified_against_reference(const Entry& entry) const;
  void note(std::string text);
  void save_environment();
  [[nodiscard]] std::filesystem::path folder(const Entry& entry) const {
    return request_.out / "cells" / entry.cell.id;
  }
  [[nodiscard]] bool runs(const Entry& entry) const { return entry.planned.outcome == Outcome::planned; }

  RunRequest request_;
  std::vector<Entry> entries_;
  std::vector<std::string> notes_;
  nlohmann::ordered_json environment_;
  int rounds_ = 0;
  bool stopped_ = false, tuned_ = false;
  FolderLock lock_;
  Progress progress_;
};

}  // namespace stepscope
