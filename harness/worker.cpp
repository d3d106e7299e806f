#include "harness/worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <system_error>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr int heartbeat_descriptor = 3;

[[noreturn]] void fail(const std::string& what) {
  throw MachineError(what + ": " + std::generic_category().message(errno));
}

// Between fork and exec: nothing but system calls.
[[noreturn]] void become_worker(pid_t parent, int log, int beats, char* const* arguments) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  if (beats == heartbeat_descriptor) {
    fcntl(beats, F_SETFD, 0);
  } else {
    dup2(beats, heartbeat_descriptor);
  }
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  execv("/proc/self/exe", arguments);
  _exit(127);
}

std::string last_line_of(const std::filesystem::path& file, std::uintmax_t begin) {
  std::ifstream stream(file, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(begin));
  std::string line, last;
  while (std::getline(stream, line))
    if (!line.empty()) last = line;
  const std::string prefix = "stepscope: ";
  return last.starts_with(prefix) ? last.substr(prefix.size()) : last;
}

}  // namespace

Worker::Worker(std::vector<std::string> arguments, std::filesystem::path log) : log_(std::move(log)) {
  const int log_file = open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (log_file < 0) fail(log_.string() + ": cannot be written");
  log_begin_ = std::filesystem::file_size(log_);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) fail("no pipe to a worker");
  arguments.insert(arguments.begin(), "stepscope");
  arguments.insert(arguments.end(), {"--heartbeat", std::to_string(heartbeat_descriptor)});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become_worker(parent, log_file, ends[1], pointers.data());
  const int error = errno;
  ::close(log_file);
  ::close(ends[1]);
  beats_ = ends[0];
  errno = error;
  if (pid_ < 0) fail("no worker process");
}

Worker::~Worker() {
  if (pid_ > 0) end_now();
  ::close(beats_);
}

WorkerEnd Worker::wait(std::chrono::seconds timeout, const std::function<bool()>& stop) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_beat = Clock::now();
  WorkerEnd end;
  while (!ended(end)) {
    if (beats_within(std::chrono::milliseconds(50))) last_beat = Clock::now();
    const bool late = Clock::now() - last_beat > timeout;
    if (!late && !stop()) continue;
    end_now();
    return {.how = late ? WorkerEnd::How::timeout : WorkerEnd::How::stopped, .number = SIGKILL, .last_line = {}};
  }
  end.last_line = last_line_of(log_, log_begin_);
  return end;
}

bool Worker::ended(WorkerEnd& end) {
  int status = 0;
  const pid_t found = waitpid(pid_, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return false;
  pid_ = -1;
  end.how = WIFSIGNALED(status) ? WorkerEnd::How::signalled : WorkerEnd::How::exited;
  end.number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
  return true;
}

void Worker::end_now() {
  kill(-pid_, SIGKILL);
  kill(pid_, SIGKILL);  // its group may not exist yet
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

// A pipe without writers reads as ready at once, so the time is slept then: the process is about to end.
bool Worker::beats_within(std::chrono::milliseconds time) {
  pollfd waiting{.fd = beats_, .events = POLLIN, .revents = 0};
  if (poll(&waiting, 1, static_cast<int>(time.count())) <= 0) return false;
  char beats[256];
  const ssize_t count = read(beats_, beats, sizeof beats);
  if (count == 0) usleep(1000);
  return count > 0;
}

void Heartbeat::beat() const {
  if (descriptor_ < 0) return;
  const char one = '.';
  [[maybe_unused]] const ssize_t written = write(descriptor_, &one, 1);  // a full pipe is as good as one more beat
}

}  // namespace stepscope
