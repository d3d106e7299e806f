// Runs the program itself, as a person would from a shell, and keeps what it says.
//     const ProgramRun r = run_program({"step", "--preset", "tiny", "--json"});     r.status, r.out, r.error
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace stepscope::testing {

struct ProgramRun {
  int status = -1;  // exit status; 128 + signal
  std::string out, error;
};

ProgramRun run_program(const std::vector<std::string>& arguments);
ProgramRun run_executable(const std::filesystem::path& file, const std::vector<std::string>& arguments);

// In a process group of its own; what it says goes to `log`.
pid_t start_program(const std::vector<std::string>& arguments, const std::filesystem::path& log);
pid_t start_executable(const std::filesystem::path& file, const std::vector<std::string>& arguments,
                       const std::filesystem::path& log);
int wait_for(pid_t process);  // exit status; 128 + signal

}  // namespace stepscope::testing
