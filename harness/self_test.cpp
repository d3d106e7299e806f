#include "harness/self_test.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/calibrate.h"
#include "harness/coordinator.h"
#include "harness/environment.h"
#include "harness/matrix.h"
#include "model/base/error.h"
#include "reports/format.h"
#include "reports/run_comparison.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

// The reference cell, and one beside it whose verdict counts.
Matrix matrix_of_pair(const SelfTestRequest& request) {
  const auto set = [](const char* name, int value) { return fmt::format("{}={}", name, value); };
  std::vector<std::string> sets{set("rounds", request.rounds), set("timed_steps", request.timed_steps),
                                "profiled_steps=0", "learning_steps=0"};
  const MatrixCell plain = matrix_of(overrides_of(sets, "tiny", "")).cells.front();
  sets.emplace_back("checkpointing=TransformerBlock");
  const MatrixCell judged = matrix_of(overrides_of(sets, "tiny", "")).cells.front();
  return matrix_of_cells(plain.configuration, {plain, judged}, "");
}

std::optional<MeasuredRun> run_once(const SelfTestRequest& request, const std::string& name, double extra_work) {
  const fs::path out = request.folder / name;
  fs::remove_all(out);
  const Matrix matrix = matrix_of_pair(request);
  const std::string judged = matrix.cells.back().id;
  Coordinator coordinator({.matrix = matrix,
                           .out = out,
                           .machine = request.machine,
                           .only = {},
                           .command = "stepscope compare --self-test",
                           .arguments = {},
                           .calibration = {.calibration = {}, .note = "not needed"},
                           .silent = true,
                           .extra_work_cell = judged,
                           .extra_work = extra_work});
  if (coordinator.run().interrupted) return std::nullopt;
  return read_run(out);
}

void count(SelfTestLevel& level, Verdict verdict) {
  ++level.pairs;
  switch (verdict) {
    case Verdict::slower: ++level.slower; break;
    case Verdict::faster: ++level.faster; break;
    case Verdict::same: ++level.same; break;
    case Verdict::undecided: ++level.undecided; break;
  }
}

}  // namespace

std::optional<SelfTest> run_self_test(const SelfTestRequest& request,
                                      const std::function<void(const std::string&)>& say) {
  const nlohmann::ordered_json environment = environment_of(request.machine, "");
  SelfTest test{.key = calibration_key(request.machine),
                .time = environment.value("time", ""),
                .commit = environment.value("commit", ""),
                .rounds = request.rounds};
  for (const double extra : request.extra_work) test.levels.push_back({.extra_work = extra});
  for (int pair = 1; pair <= request.pairs; ++pair) {
    for (SelfTestLevel& level : test.levels) {  // in turn, so that a machine that changes changes for all
      const std::optional<MeasuredRun> a = run_once(request, "a", 0);
      const std::optional<MeasuredRun> b = a ? run_once(request, "b", level.extra_work) : std::nullopt;
      if (!a || !b) return std::nullopt;
      const RunComparison comparison = compare_runs(*a, *b);
      const CellComparison& judged = comparison.cells.back();
      if (!judged.time)
        throw MachineError(fmt::format("a cell of the self-test has no time: {}", verdict_in_words(judged)));
      count(level, judged.verdict);
      say(fmt::format("{}/{} {} · {} {}", pair, request.pairs,
                      level.extra_work == 0 ? "equal runs" : format_percent(level.extra_work) + " more work",
                      name_of(judged.verdict), format_ratio(judged.time->ratio)));
    }
  }
  return test;
}

fs::path kept_self_test_file(const Machine& machine) { return file_beside_calibration(machine, "self-test"); }

std::optional<SelfTest> kept_self_test(const Machine& machine) {
  const fs::path file = kept_self_test_file(machine);
  std::error_code error;
  if (file.empty() || !fs::exists(file, error)) return std::nullopt;
  try {
    SelfTest test = read_self_test(file);
    return difference(test.key, calibration_key(machine)).empty() ? std::optional(std::move(test)) : std::nullopt;
  } catch (const UsageError&) {
    return std::nullopt;  // it can be made again
  }
}

std::string keep_self_test(const Machine& machine, const SelfTest& test) {
  const fs::path file = kept_self_test_file(machine);
  if (file.empty()) return "XDG_CACHE_HOME and HOME are not set";
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) return fmt::format("{} cannot be made: {}", file.parent_path().string(), error.message());
  try {
    write_self_test(file, test);
  } catch (const MachineError& failed) {
    return failed.what();
  }
  return "";
}

}  // namespace stepscope
