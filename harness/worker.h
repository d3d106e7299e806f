// A process that measures one cell once. It has a process group of its own, dies with this process, and is ended when it shows no sign
// of life for too long: a byte on a pipe for every step it finishes.
//     Worker worker({"worker", "--cell", id}, "RUN/cells/ID/log.txt");
//     const WorkerEnd end = worker.wait(std::chrono::seconds(600), interrupted);
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace stepscope {

struct WorkerEnd {
  enum class How { exited, signalled, timeout, stopped } how = How::exited;
  int number = 0;  // exit status or signal
  std::string last_line;  // of what it wrote: its error, if it told one
};

class Worker {
 public:
  // Runs this very program with the arguments; what it prints goes to the end of `log`. Throws MachineError.
  Worker(std::vector<std::string> arguments, std::filesystem::path log);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  WorkerEnd wait(std::chrono::seconds timeout, const std::function<bool()>& stop);

 private:
  bool ended(WorkerEnd& end);
  void end_now();
  [[nodiscard]] bool beats_within(std::chrono::milliseconds time);

  std::filesystem::path log_;
  std::uintmax_t log_begin_ = 0;
  pid_t pid_ = -1;
  int beats_ = -1;
};

// The worker's side.
class Heartbeat {
 public:
  explicit Heartbeat(int descriptor) : descriptor_(descriptor) {}  // -1: nobody listens
  void beat() const;

 private:
  int descriptor_;
};

}  // namespace stepscope
