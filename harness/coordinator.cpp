#include "harness/coordinator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <set>

#include "harness/choices.h"
#include "harness/device.h"
#include "harness/environment.h"
#include "harness/interrupt.h"
#include "harness/kept_times.h"
#include "harness/numerics.h"
#include "harness/planned.h"
#include "harness/run_files.h"
#include "harness/run_identity.h"
#include "harness/self_test.h"
#include "harness/session.h"
#include "harness/simulated_device.h"
#include "harness/worker.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/hash.h"
#include "model/base/json.h"
#include "model/program/print.h"
#include "reports/cell.h"
#include "reports/prediction.h"
#include "reports/recommendation.h"
#include "reports/statistics.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

constexpr int usage_status = 2;  // of a worker that refused its input

double seconds_of(const Visit& visit) { return static_cast<double>(visit.ended_ns - visit.started_ns) * 1e-9; }

// An interrupted machine is no property of the cell: such a visit is made again when the run is resumed.
bool stands(const Visit& visit) {
  return visit.outcome != Outcome::crashed && visit.outcome != Outcome::timeout &&
         visit.outcome != Outcome::device_error;
}

// What a data source depends on: one of each is opened before anything is written.
std::string data_key(const Configuration& c) {
  return fmt::format("{}\n{}\n{} {} {} {}", c.data.source, c.data.tokenizer, c.data.rows, c.training.global_batch,
                     c.training.sequence, c.model.vocabulary);
}

std::string read_if_there(const fs::path& file) { return fs::exists(file) ? read_file(file) : ""; }

}  // namespace

Coordinator::Coordinator(RunRequest request)
    : request_(std::move(request)), rounds_(static_cast<int>(request_.matrix.measure.rounds)) {}

RunEnd Coordinator::run() {
  list_cells();  // the matrix multiplied out, and the reference cells it lacks
  plan_cells();  // predicted bytes of each; does-not-fit is an outcome, without a visit
  open_run();  // a new RUN, or the one a killed run left; another program or matrix is refused here
  measure_rounds();  // timed visits in shuffled order, round by round; profiled ones with the first
  measure_learning();  // loss curves, of the mix that the rounds recommend too
  finish();
  RunEnd end{.interrupted = stopped_, .outcomes = {}, .notes = notes_};
  for (const Entry& entry : entries_) ++end.outcomes[read_record(folder(entry) / "record.json").outcome];
  return end;
}

void Coordinator::finish() {
  for (Entry& entry : entries_) {
    save(entry);  // numerics of all are there now: unverified cells lose their time
    write_cell_files(folder(entry), visits_of(entry));
  }
  keep_times_of_run();
  if (rounds_ == 1) note("one round: drift of the machine is not controlled");
  save_environment();
}

// Each cell's time as the others predict it, and what operations took here, for this run's report and for plans to come.
void Coordinator::keep_times_of_run() {
  const std::optional<TimeModelFile> times = publish_predictions(request_.out);
  if (!times || is_simulated(request_.machine)) return;  // no plan of a real machine is to rest on simulated times
  const auto quiet = [](const auto& numbered) {
    return numbered.second.kind == VisitKind::timed && !numbered.second.disturbance.disturbed;
  };
  if (std::ranges::none_of(entries_, [&](const Entry& entry) { return std::ranges::any_of(entry.visits, quiet); }))
    return note("times of operations are kept in the run alone: other work disturbed every visit");
  if (const std::string why = keep_times(request_.machine, *times); !why.empty())
    note("times of operations are kept in the run alone: " + why);
}

void Coordinator::list_cells() {
  std::map<std::string, MatrixCell> references;
  const auto is_listed = [&](const std::string& id) {
    return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.cell.id == id; });
  };
  if (!request_.only.empty()) (void)request_.matrix.cell(request_.only);  // refused where there is none
  int position = 0;  // in the whole matrix, so that parts of a run keep its order
  for (const MatrixCell& cell : request_.matrix.cells) {
    ++position;
    if (!request_.only.empty() && cell.id != request_.only) continue;
    if ((position - 1) % request_.shards != request_.shard - 1) continue;
    Configuration reference = reference_of(cell.configuration);
    const std::string id = cell_id(reference);
    entries_.push_back(
        {.cell = cell, .position = position, .planned = {}, .program = {}, .reference = id, .visits = {}});
    if (cell.excluded_by.empty())
      references[id] = {.id = id, .configuration = reference, .excluded_by = {}, .added = true, .given = cell.given};
  }
  for (const auto& [id, cell] : references) {
    if (is_listed(id)) continue;
    const auto there = std::find_if(request_.matrix.cells.begin(), request_.matrix.cells.end(),
                                    [&, &wanted = id](const MatrixCell& other) { return other.id == wanted; });
    const bool lacking = there == request_.matrix.cells.end();
    if (lacking) note(fmt::format("added the reference cell {}, which the matrix lacks", readable_name(id)));
    entries_.push_back({.cell = lacking ? cell : *there,
                        .position = lacking ? ++position : static_cast<int>(there - request_.matrix.cells.begin()) + 1,
                        .planned = {},
                        .program = {},
                        .reference = id,
                        .visits = {}});
  }
}

void Coordinator::plan_cells() {
  std::set<std::string> sources;
  std::optional<Card> ceilings;
  if (request_.calibration.calibration) ceilings = card_of(*request_.calibration.calibration);
  if (!ceilings) note("no MFU, HFU, floor and predicted times: " + request_.calibration.note);
  for (Entry& entry : entries_) {
    const std::string which = request_.matrix.file.empty() ? "" : " --cell " + entry.cell.id;
    const std::string repeat = entry.cell.added  // the matrix does not have it
                                   ? fmt::format("stepscope step {}", (folder(entry) / "cell.toml").string())
                                   : fmt::format("stepscope step {}{}", request_.arguments, which);
    const std::string device =
        request_.machine.has_kernels ? " --device " + name_of_device(request_.machine) : std::string();
    PlannedCell planned = plan_cell(entry.cell, request_.machine,
                                    {.repeat = repeat + device,
                                     .ceilings = ceilings ? &*ceilings : nullptr,
                                     .no_ceilings = request_.calibration.note});
    entry.planned = std::move(planned.record);
    entry.planned.position = entry.position;
    if (!runs(entry)) continue;
    entry.program = print(planned.step.program, planned.step.plan);
    if (sources.insert(data_key(entry.cell.configuration)).second)
      (void)data_source_of(entry.cell);  // a missing or too short text is refused now
  }
}

void Coordinator::open_run() {
  environment_ = environment_of(request_.machine, request_.command);
  environment_["model"] = models_in_words(request_.matrix);
  environment_["data"] = data_in_words(request_.matrix);
  environment_["matrix_hash"] = matrix_hash(request_.matrix);
  const std::optional<Calibration>& calibration = request_.calibration.calibration;
  environment_["calibration"] =
      calibration ? summary_of(*calibration) : nlohmann::ordered_json(request_.calibration.note);
  environment_["data_hash"] = data_hash(request_.matrix);
  if (const std::optional<SelfTest> test = kept_self_test(request_.machine)) environment_["self_test"] = to_json(*test);
  const fs::path environment_file = request_.out / "environment.json";
  open_out_folder(request_.out, environment_file.filename(), "run");
  lock_ = FolderLock(request_.out);
  std::error_code error;
  if (fs::exists(environment_file, error)) resume_run(environment_file);
  fs::remove(request_.out / "time_model.json", error);  // made anew from all records in the end
  remove_temporaries(request_.out);
  save_environment();  // first: what is made after it belongs to a run that can be gone on with
  if (!fs::exists(request_.out / "matrix.toml"))
    write_atomically(request_.out / "matrix.toml", request_.matrix.text.empty()
                                                       ? to_toml(entries_.front().cell.configuration)
                                                       : request_.matrix.text);
  if (calibration) write_calibration(request_.out / "calibration.json", *calibration);
  progress_.begin(request_.out / "run.log", request_.silent);
  std::vector<MatrixCell> cells;
  for (const Entry& entry : entries_)
    if (runs(entry)) cells.push_back(entry.cell);
  keep_choices(request_.out, cells, request_.machine);
  for (Entry& entry : entries_) {
    fs::create_directories(folder(entry), error);
    if (error) throw UsageError(fmt::format("--out {}: cannot be written: {}", request_.out.string(), error.message()));
    if (!entry.program.empty() && read_if_there(folder(entry) / "program.txt") != entry.program)
      write_atomically(folder(entry) / "program.txt", entry.program);
    remove_temporaries(folder(entry));  // left by a killed process
    read_visits(entry);
    save(entry);
  }
}

// Times of another program, processor or matrix do not belong into one report.
void Coordinator::resume_run(const fs::path& environment_file) {
  const nlohmann::ordered_json there =
      parse_json<nlohmann::ordered_json>(read_file(environment_file)).json.value_or(nullptr);
  require_same_run(there, environment_, environment_file);
  if (there.contains("time")) environment_["time"] = there["time"];
  progress_.say(fmt::format("resuming {}", request_.out.string()));
}

void Coordinator::read_visits(Entry& entry) {
  for (const fs::directory_entry& file : fs::directory_iterator(folder(entry))) {
    const std::string name = file.path().filename().string();
    if (!name.starts_with("visit-") || file.path().extension() != ".json") continue;
    Visit visit = read_visit(file.path());
    const int number = number_of(visit.kind, visit.round);
    entry.visits[number] = std::move(visit);
  }
}

// Numerics lie in a file of their own, which the first timed visit writes: without it that visit is made again.
bool Coordinator::is_made(const Entry& entry, VisitKind kind, int round) const {
  const auto found = entry.visits.find(number_of(kind, round));
  if (found == entry.visits.end() || !stands(found->second)) return false;
  const bool wrote_numerics = kind == VisitKind::timed && round == 1 && !found->second.numerics.gradients.empty();
  return !wrote_numerics || fs::exists(folder(entry) / "numerics.safetensors");
}

std::vector<Coordinator::Due> Coordinator::due_in(int round, bool profiled) const {
  std::vector<Due> due;
  for (const Entry& entry : entries_) {
    if (!runs(entry)) continue;
    auto* cell = const_cast<Entry*>(&entry);
    if (!is_made(entry, VisitKind::timed, round)) due.push_back({cell, VisitKind::timed, round});
    if (profiled && !is_made(entry, VisitKind::profiled, round)) due.push_back({cell, VisitKind::profiled, round});
  }
  std::mt19937_64 random(hash_of(fmt::format("{} {}", round, matrix_hash(request_.matrix))));
  std::shuffle(due.begin(), due.end(), random);
  return due;
}

void Coordinator::measure_rounds() {
  const bool profiles = request_.matrix.measure.profiled_steps > 0;
  for (int round = 1; round <= rounds_ && !stopped_; ++round) {
    const std::vector<Due> due = due_in(round, profiles && round == 1);
    if (!due.empty()) measure_round(due, round);  // else made before a run was stopped
    if (round == rounds_ && !stopped_ && request_.precision > 0) add_round_if_imprecise(round);
  }
}

void Coordinator::measure_round(const std::vector<Due>& due, int round) {
  if (round > rounds_within_limit(round)) {
    note(fmt::format("{} of {} rounds: the time limit of {} was near", round - 1, rounds_,
                     readable_time(request_.time_limit_seconds)));
    rounds_ = round - 1;
    request_.precision = 0;
    return;
  }
  const auto cells =
      static_cast<int>(std::count_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return runs(e); }));
  progress_.expect(static_cast<int>(due.size()) + cells * (rounds_ - round));
  for (const Due& one : due) visit(one);
}

// A cell without two good visits has no interval and asks for none: its outcome says why.
void Coordinator::add_round_if_imprecise(int round) {
  double widest = 0;
  const Entry* where = nullptr;
  for (const Entry& entry : entries_) {
    const Cell cell{.record = {}, .visits = visits_of(entry)};
    std::vector<double> medians;
    for (const auto& [number, visits] : cell.timed_medians())
      medians.insert(medians.end(), visits.begin(), visits.end());
    if (medians.empty()) continue;
    const Interval interval = mean_of_logs(medians);
    const double width = interval.high ? *interval.high / interval.middle - 1 : std::numeric_limits<double>::infinity();
    if (where == nullptr || width > widest) widest = width, where = &entry;
  }
  if (where == nullptr) return;
  if (widest <= request_.precision)
    note(fmt::format("{} rounds: every interval is within {}, as asked for", round, format_percent(widest)));
  else if (round < request_.most_rounds)
    ++rounds_;
  else
    note(fmt::format("{} rounds, the most that were allowed: {} is known within {}, not {}", round,
                     readable_name(where->cell.id), format_percent(widest), format_percent(request_.precision)));
}

// How many rounds can be made, learning left its time, if the others take as long as the first.
int Coordinator::rounds_within_limit(int round) const {
  if (request_.time_limit_seconds <= 0 || round == 1) return rounds_;
  double a_round = 0, a_step = 0;
  int steps = 0;
  for (const Entry& entry : entries_) {
    const auto first = entry.visits.find(number_of(VisitKind::timed, 1));
    if (first == entry.visits.end()) continue;
    a_round += seconds_of(first->second);
    for (const double ns : first->second.step_time_ns) a_step += ns * 1e-9, ++steps;
  }
  constexpr int usual_learners = 3;  // reference, other precision, smallest; the recommended one is mostly among them
  const double learning =
      steps == 0 ? 0 : usual_learners * a_step / steps * static_cast<double>(request_.matrix.measure.learning_steps);
  return progress_.elapsed_seconds() + a_round + learning <= request_.time_limit_seconds ? rounds_ : round - 1;
}

void Coordinator::visit(const Due& due) {
  tune_once();
  if (stopped_) return;
  const int number = number_of(due.kind, due.round);
  const fs::path file = folder(*due.entry) / fmt::format("visit-{}.json", number);
  Visit visit = measured(due, file);
  if (stopped_) return;
  progress_.show(due.entry->cell.id, visit, seconds_of(visit));
  due.entry->visits[number] = std::move(visit);
  save(*due.entry);
}

Visit Coordinator::measured(const Due& due, const fs::path& file) {
  const fs::path cell_file = folder(*due.entry) / "cell.toml";
  write_atomically(cell_file, to_toml(due.entry->cell.configuration));
  const auto now = [] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const std::int64_t started = now();
  std::vector<std::string> words{"worker",
                                 fs::absolute(cell_file).string(),
                                 fs::absolute(file).string(),
                                 "--kind",
                                 std::string(name_of(due.kind)),
                                 "--round",
                                 std::to_string(due.round),
                                 "--threads",
                                 std::to_string(request_.machine.threads),
                                 "--device",
                                 name_of_device(request_.machine)};
  if (due.entry->cell.id == request_.extra_work_cell && request_.extra_work > 0)
    words.insert(words.end(), {"--extra-work", fmt::format("{}", request_.extra_work)});
  Worker worker(std::move(words), folder(*due.entry) / "log.txt");
  const std::int64_t timeout = request_.matrix.measure.timeout_seconds;
  const WorkerEnd end = worker.wait(std::chrono::seconds(timeout), interrupted);
  if (end.how != WorkerEnd::How::exited) remove_temporaries(folder(*due.entry));
  stopped_ = stopped_ || end.how == WorkerEnd::How::stopped || interrupted();
  if (stopped_) return {};
  if (end.how == WorkerEnd::How::exited && end.number == 0) return read_visit(file);
  if (end.how == WorkerEnd::How::exited && end.number == usage_status)  // every visit of the cell would end so
    throw UsageError(fmt::format("{}: {}", due.entry->cell.id, end.last_line));
  Visit visit;
  visit.cell = due.entry->cell.id;
  visit.round = due.round;
  visit.kind = due.kind;
  visit.started_ns = started;
  visit.ended_ns = now();
  if (end.how == WorkerEnd::How::timeout) {
    visit.outcome = Outcome::timeout;
    visit.reason = fmt::format("no step for {} s", timeout);
  } else if (end.how == WorkerEnd::How::signalled) {
    visit.outcome = Outcome::crashed;
    visit.reason = fmt::format("signal {} ({})", end.number, strsignal(end.number));
  } else {
    visit.outcome = Outcome::device_error;
    visit.reason = end.last_line.empty() ? fmt::format("exit status {}", end.number) : end.last_line;
  }
  write_visit(file, visit);
  return visit;
}

void Coordinator::save(Entry& entry) {
  write_record(folder(entry) / "record.json", record_of(verified_against_reference(entry), visits_of(entry)));
}

std::vector<Visit> Coordinator::visits_of(const Entry& entry) {
  std::vector<Visit> visits;
  for (const auto& [number, visit] : entry.visits) visits.push_back(visit);
  return visits;
}

// The planned record with what numerics can be told so far.
Record Coordinator::verified_against_reference(const Entry& entry) const {
  Record record = entry.planned;
  if (!computes(
          request_.machine)) {  // cells of one reference are alternatives to each other, whether or not any is computed
    record.numerics.reference = entry.reference;
    return record;
  }
  const fs::path mine = folder(entry) / "numerics.safetensors",
                 its = request_.out / "cells" / entry.reference / "numerics.safetensors";
  if (!runs(entry) || !fs::exists(mine)) return record;
  if (!fs::exists(its)) {
    const auto reference = std::find_if(entries_.begin(), entries_.end(),
                                        [&](const Entry& other) { return other.cell.id == entry.reference; });
    if (reference == entries_.end() || !runs(*reference))
      mark_unverified(record, "its reference cell " + readable_name(entry.reference) + " does not run here");
    return record;
  }
  const NumericsErrors errors = compare(read_numerics(mine), read_numerics(its));
  const NumericsLimits limits = limits_of(entry.cell.configuration);
  record.numerics.reference = entry.reference;
  record.numerics.loss_error = errors.loss;
  record.numerics.gradient_error = errors.gradient;
  record.numerics.loss_limit = limits.loss;
  record.numerics.gradient_limit = limits.gradient;
  if (!(errors.loss <= limits.loss))
    mark_unverified(record, fmt::format("the loss of step 1 is off by {:.1e}, at most {:.1e} is allowed", errors.loss,
                                        limits.loss));
  else if (!(errors.gradient <= limits.gradient))
    mark_unverified(record, fmt::format("the gradient of {} is off by {:.1e}, at most {:.1e} is allowed", errors.worst,
                                        errors.gradient, limits.gradient));
  return record;
}

void Coordinator::note(std::string text) { notes_.push_back(std::move(text)); }

void Coordinator::save_environment() {
  environment_["rounds"] = rounds_;
  if (request_.time_limit_seconds > 0) environment_["time_limit_seconds"] = request_.time_limit_seconds;
  environment_["notes"] = notes_;
  const fs::path file = request_.out / "environment.json";
  if (const std::string why = what_hinders_writing(file); !why.empty())
    throw UsageError(fmt::format("--out {}: cannot be written: {}", request_.out.string(), why));
  write_atomically(file, environment_.dump(2) + "\n");
}

}  // namespace stepscope
