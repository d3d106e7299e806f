#include "tests/support/program_run.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/support/build_folder.h"

namespace stepscope::testing {

namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

const std::string stepscope_program = build_folder() + "/stepscope";

pid_t start(const std::string& program, const std::vector<std::string>& arguments, const fs::path& out,
            const fs::path& error) {
  // What runs measure is kept in the user's cache; a test's does not belong there, and a plan must not depend on it.
  setenv("XDG_CACHE_HOME", (build_folder() + "/test_cache").c_str(), 0);
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t process = fork();
  if (process != 0) return process;
  setpgid(0, 0);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666), STDOUT_FILENO);
  dup2(open(error.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666), STDERR_FILENO);
  execv(program.c_str(), pointers.data());
  _exit(127);
}

}  // namespace

int wait_for(pid_t process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

pid_t start_program(const std::vector<std::string>& arguments, const fs::path& log) {
  return start_executable(stepscope_program, arguments, log);
}

pid_t start_executable(const fs::path& file, const std::vector<std::string>& arguments, const fs::path& log) {
  return start(file, arguments, log, log);
}

ProgramRun run_program(const std::vector<std::string>& arguments) {
  return run_executable(stepscope_program, arguments);
}

ProgramRun run_executable(const fs::path& file, const std::vector<std::string>& arguments) {
  std::string pattern = (fs::temp_directory_path() / "stepscope-said-XXXXXX").string();
  const fs::path folder = mkdtemp(pattern.data());
  ProgramRun run;
  run.status = wait_for(start(file, arguments, folder / "out", folder / "error"));
  run.out = text_of(folder / "out");
  run.error = text_of(folder / "error");
  fs::remove_all(folder);
  return run;
}

}  // namespace stepscope::testing
