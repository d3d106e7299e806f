// stepscope worker: one visit, in a process of its own. `run` starts it; by hand it measures a cell's cell.toml again.
#include <csignal>
#include <memory>

#include "harness/calibrate.h"
#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/device.h"
#include "harness/measure.h"
#include "harness/simulated_device.h"
#include "harness/tuning.h"
#include "model/base/error.h"

namespace stepscope {

namespace {

struct WorkerCommand {
  std::string cell_file, visit_file, kind, memory_cap, device = "cpu";
  int round = 1, threads = 0, heartbeat = -1;
  double extra_work = 0;
};

void work(const WorkerCommand& command) {
  signal(SIGPIPE, SIG_IGN);  // a coordinator that is gone takes this process along by itself
  const std::optional<VisitKind> kind = visit_kind_named(command.kind);
  if (!kind) throw UsageError("--kind " + command.kind + ": timed, profiled or learning");
  cap_memory_to(command.memory_cap);
  const Matrix matrix = read_matrix(command.cell_file, {});
  const std::filesystem::path folder = std::filesystem::path(command.visit_file).parent_path();
  // The run's, as its plan was made by it, never a newer one of the cache.
  Machine machine = machine_on(command.device, command.threads);
  if (command.extra_work > 0) require_real(machine, "--extra-work");
  if (!is_simulated(machine)) machine.rates = balanced_rates();
  machine = with_rates(machine, calibration_in(folder.parent_path().parent_path() / "calibration.json", machine));
  const VisitRequest request{.cell = &matrix.cells.front(),
                             .machine = machine,
                             .kind = *kind,
                             .round = command.round,
                             .folder = folder,
                             .tuning = tuning_for(machine, folder.parent_path().parent_path() / "tuning.json"),
                             .extra_work = command.extra_work};
  write_visit(command.visit_file, measure(request, Heartbeat(command.heartbeat)));
}

}  // namespace

void add_worker(CLI::App& app) {
  auto command = std::make_shared<WorkerCommand>();
  CLI::App& sub = *app.add_subcommand("worker", "one visit of one cell")->group("");
  sub.add_option("cell", command->cell_file)->required();
  sub.add_option("visit", command->visit_file)->required();
  sub.add_option("--kind", command->kind)->required();
  sub.add_option("--round", command->round);
  sub.add_option("--heartbeat", command->heartbeat);
  sub.add_option("--extra-work", command->extra_work)->check(CLI::Range(0.0, 1.0));
  add_memory_cap_option(sub, command->memory_cap);
  add_device_option(sub, command->device);
  add_threads_option(sub, command->threads);
  sub.callback([command] { work(*command); });
}

}  // namespace stepscope
