// The commands, one file each. Every one adds itself to the command line and leaves what it does as the subcommand's callback;
// errors are thrown, main turns them into one line and an exit status.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>

namespace stepscope {

void add_plan(CLI::App& app);
void add_advise(CLI::App& app);
void add_step(CLI::App& app);
void add_train(CLI::App& app);
void add_run(CLI::App& app);
void add_report(CLI::App& app);
void add_merge(CLI::App& app);
void add_compare(CLI::App& app);
void add_explain(CLI::App& app);
void add_devices(CLI::App& app);
void add_tune(CLI::App& app);
void add_worker(CLI::App& app);  // hidden: `run` starts it

// RUN/report/index.html, drawn by Python from the files that `report` or `compare` wrote there; report.md where it cannot draw.
[[nodiscard]] std::string page_of(const std::filesystem::path& run);

// Thrown by a command that has said what there is to say and ends with a status of its own.
struct ExitStatus {
  int status;
};

}  // namespace stepscope
