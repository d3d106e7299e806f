// stepscope tune: which of cuBLASLt's algorithms is fastest for each matmul of a matrix's cells on a card. `run` starts it by itself.
#include <fmt/format.h>

#include <memory>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/device.h"
#include "harness/tuning.h"
#include "harness/worker.h"
#include "model/base/error.h"
#include "model/base/file.h"

namespace stepscope {

namespace {

struct TuneCommand {
  ConfigurationOptions configuration;
  std::string out, device = "cuda";
  int heartbeat = -1;
};

void tune(const TuneCommand& command) {
  const Matrix matrix = command.configuration.read();
  if (const std::string why = what_hinders_writing(command.out); !why.empty())
    throw UsageError(fmt::format("--out {}: cannot be written: {}", command.out, why));
  const Machine machine = machine_on(command.device, 0);
  const Heartbeat heartbeat(command.heartbeat);
  const TuneEnd end = tune_matmuls(matrix, machine, command.out, [&] { heartbeat.beat(); });
  fmt::print("{} matmuls, {} of them measured now: {}\n", end.matmuls, end.measured, command.out);
}

}  // namespace

void add_tune(CLI::App& app) {
  auto command = std::make_shared<TuneCommand>();
  CLI::App& sub = *app.add_subcommand(
      "tune", "measure cuBLASLt's algorithms for the matmuls of a matrix's cells; run does it by itself");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--out", command->out, "the file, new or to add to")->type_name("TUNING.json")->required();
  add_device_option(sub, command->device);
  sub.add_option("--heartbeat", command->heartbeat)->group("");
  sub.callback([command] { tune(*command); });
}

}  // namespace stepscope
