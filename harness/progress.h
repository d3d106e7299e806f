// One line for each visit, with the time that is left:   12/30 bf16 every-2 x4 · ok 183.1 ms · 4 min left
// The line also goes to RUN/run.log.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "reports/visit.h"

namespace stepscope {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  void begin(std::filesystem::path log, bool silent) { log_ = std::move(log), silent_ = silent; }
  void expect(int visits) { expected_ = done_ + visits; }  // from now on
  void show(const std::string& cell, const Visit& visit, double seconds);
  void say(const std::string& line) const;
  [[nodiscard]] double elapsed_seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  [[nodiscard]] double seconds_a_visit() const { return done_ == 0 ? 0 : seconds_ / done_; }

 private:
  Clock::time_point start_ = Clock::now();
  std::filesystem::path log_;
  bool silent_ = false;  // then the log alone has the lines
  int done_ = 0, expected_ = 0;
  double seconds_ = 0;
};

[[nodiscard]] std::string readable_name(const std::string& cell_id);  // without the hash
[[nodiscard]] std::string readable_time(double seconds);  // "4 min", "25 s"

}  // namespace stepscope
