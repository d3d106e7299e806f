// stepscope train: one configuration, trained for real, into a folder that it can go on from.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/device.h"
#include "harness/interrupt.h"
#include "harness/simulated_device.h"
#include "harness/training_run.h"
#include "harness/tuning.h"
#include "model/base/error.h"

namespace stepscope {

namespace {

struct TrainCommand {
  ConfigurationOptions configuration;
  std::string cell, out, prompt, export_to, tuning, device = "cpu";
  std::int64_t steps = 0, save_every = 0, validate_every = 0;
  SamplingSettings sampling;
  int threads = 0;
  bool json = false;
};

// --steps is the field training.steps: the schedule ends with the training.
MatrixCell cell_of(const TrainCommand& command) {
  Assignments overrides = command.configuration.overrides();
  if (command.steps > 0)
    assign(overrides, {&field_named("steps", "--steps"), command.steps, "--steps", "training.steps"});
  const Matrix matrix = command.configuration.read(overrides);
  if (!command.cell.empty()) return matrix.cell(command.cell);
  if (matrix.cells.size() > 1)
    throw UsageError(fmt::format("{}: has {} cells: --cell ID chooses one; stepscope plan lists them",
                                 command.configuration.matrix, matrix.cells.size()));
  return matrix.cells.front();
}

void run_train(const TrainCommand& command) {
  if (command.sampling.count == 0 && !command.prompt.empty())
    throw UsageError("--prompt: how much is to be written is not given; --sample N");
  const MatrixCell cell = cell_of(command);
  const std::int64_t steps = cell.configuration.training.steps;
  if (steps < 1) throw UsageError("--steps: how many steps to train is not given; a whole number from 1");
  watch_interrupts();
  const Machine machine = machine_on(command.device, command.threads);
  const TrainingRequest request{.cell = &cell,
                                .machine = machine,
                                .out = command.out,
                                .tuning = tuning_asked_for(machine, command.tuning),
                                .steps = steps,
                                .save_every = command.save_every,
                                .validate_every = command.validate_every,
                                .sampling = command.sampling,
                                .prompt = command.prompt,
                                .export_folder = export_folder_of(command.export_to, cell.configuration)};
  require_real(request.machine, "train");
  const TrainingEnd end = train(request, [&](const std::string& line) {
    fmt::print(command.json ? stderr : stdout, "{}\n", line);
    std::fflush(command.json ? stderr : stdout);
  });
  if (end.interrupted) {
    fmt::print(stderr, "stopped and saved at step {} of {}; the same command goes on from there\n", end.step, steps);
    throw ExitStatus{interrupted_status};
  }
  nlohmann::ordered_json line{
      {"schema", "stepscope.train/1"},          {"id", cell.id},      {"steps", end.step}, {"loss", end.loss},
      {"validation_loss", end.validation_loss}, {"entropy", nullptr}, {"out", command.out}};
  if (end.entropy) line["entropy"] = *end.entropy;
  if (end.loss_scale) {
    line["loss_scale"] = *end.loss_scale;
    line["skipped_steps"] = end.skipped_steps;
  }
  if (command.json)
    fmt::print("{}\n", line.dump());
  else
    fmt::print("done: {} steps, in {}\n", end.step, command.out);
}

void add_sampling_options(CLI::App& sub, TrainCommand& command) {
  constexpr std::int64_t many = 1'000'000;
  sub.add_option("--sample", command.sampling.count, "tokens that the model writes at each validation; default: none")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, many));
  sub.add_option("--prompt", command.prompt, "what the samples go on from; of a text only")->type_name("TEXT");
  sub.add_option("--temperature", command.sampling.temperature, "1: as the model says; 0: always the likeliest token")
      ->type_name("T")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  sub.add_option("--top-k", command.sampling.top_k, "draw from the K likeliest tokens; default: from all")
      ->type_name("K")
      ->check(CLI::Range(std::int64_t{1}, many));
}

}  // namespace

void add_train(CLI::App& app) {
  auto command = std::make_shared<TrainCommand>();
  CLI::App& sub =
      *app.add_subcommand("train", "one configuration for real: loss curve, validation, saved state; resumes");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--cell", command->cell, "which cell of the matrix")->type_name("ID");
  sub.add_option("--steps", command->steps, "how many, from the very start")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000'000}));
  sub.add_option("--out", command->out, "folder of the training, new or to go on with")->type_name("DIR")->required();
  sub.add_option("--save-every", command->save_every, "steps between saved states; default: a tenth of all")
      ->type_name("N")
      ->check(above_zero("steps"));
  sub.add_option("--validate-every", command->validate_every, "steps between validations; default: a tenth of all")
      ->type_name("N")
      ->check(above_zero("steps"));
  add_export_option(sub, command->export_to);
  add_sampling_options(sub, *command);
  add_device_option(sub, command->device);
  add_tuning_option(sub, command->tuning);
  add_threads_option(sub, command->threads);
  add_json_option(sub, command->json);
  sub.callback([command] { run_train(*command); });
}

}  // namespace stepscope
