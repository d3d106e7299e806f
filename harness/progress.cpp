#include "harness/progress.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>

#include "reports/format.h"
#include "reports/statistics.h"

namespace stepscope {

std::string readable_name(const std::string& cell_id) { return cell_id.substr(0, cell_id.rfind('-')); }

std::string readable_time(double seconds) {
  return seconds < 90 ? fmt::format("{:.0f} s", seconds) : fmt::format("{:.0f} min", seconds / 60);
}

void Progress::show(const std::string& cell, const Visit& visit, double seconds) {
  ++done_;
  seconds_ += seconds;
  std::string what(name_of(visit.outcome));
  if (visit.outcome != Outcome::ok)
    what += ": " + visit.reason;
  else if (visit.kind == VisitKind::learning && !visit.losses.empty())
    what += fmt::format(" loss {:.3f} after {} steps", visit.losses.back().loss, visit.losses.back().step);
  else if (!visit.step_time_ns.empty())
    what += " " + format_time(median_of(visit.step_time_ns));
  const std::string left = done_ < expected_ ? readable_time(seconds_a_visit() * (expected_ - done_)) + " left"
                           : visit.kind == VisitKind::learning ? "done"
                                                               : "rounds done";
  say(fmt::format("{}/{} {} {} · {} · {}", done_, expected_, readable_name(cell), name_of(visit.kind), what, left));
}

void Progress::say(const std::string& line) const {
  if (!silent_) {
    std::fputs((line + "\n").c_str(), stdout);  // a run goes on without a reader; its end says that output was lost
    std::fflush(stdout);
  }
  if (!log_.empty()) std::ofstream(log_, std::ios::app) << line << "\n";
}

}  // namespace stepscope
