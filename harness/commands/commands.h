// The commands, one file each. Every one adds itself to the command line and leaves what it does as the subcommand's callback;
// errors are thrown, main turns them into one line and an exit status.
#pragma once

#include <CLI/CLI.hpp>

namespace stepscope {

void add_plan(CLI::App& app);
void add_advise(CLI::App& app);
void add_step(CLI::App& app);
void add_train(CLI::App& app);
void add_run(CLI::App& app);
void add_report(CLI::App& app);
void add_devices(CLI::App& app);
void add_worker(CLI::App& app);  // hidden: `run` starts it

// Thrown by a command that has said what there is to say and ends with a status of its own.
struct ExitStatus {
  int status;
};

}  // namespace stepscope
