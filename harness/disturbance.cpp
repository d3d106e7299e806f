#include "harness/disturbance.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "model/cpu/machine.h"

namespace stepscope {

namespace {

constexpr double tolerated_steal = 0.02;  // of all processor time
constexpr double tolerated_neighbours = 0.1;  // of a processor that the timed threads would have had

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

std::optional<DisturbanceMeter::Sample> sample() {
  std::ifstream stat("/proc/stat"), load("/proc/loadavg");
  std::string name;
  double user = 0, nice = 0, system = 0, idle = 0, io_wait = 0, interrupts = 0, soft_interrupts = 0, steal = 0;
  if (!(stat >> name >> user >> nice >> system >> idle >> io_wait >> interrupts >> soft_interrupts >> steal))
    return std::nullopt;
  DisturbanceMeter::Sample s;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  s.busy = (user + nice + system + interrupts + soft_interrupts) / ticks;
  s.steal = steal / ticks;
  s.total = s.busy + s.steal + (idle + io_wait) / ticks;
  load >> s.load_average;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  s.own = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  return s;
}

std::optional<std::int64_t> kibibytes_of(const char* file, const std::string& key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (!line.starts_with(key + ":")) continue;
    std::istringstream rest(line.substr(key.size() + 1));
    if (std::int64_t number = 0; rest >> number) return number * 1024;
  }
  return std::nullopt;
}

}  // namespace

DisturbanceMeter::DisturbanceMeter() : begin_(sample()) {}

Disturbance DisturbanceMeter::read(int threads) const {
  Disturbance result;
  const std::optional<Sample> end = sample();
  if (!begin_ || !end || end->total <= begin_->total) return result;
  const double total = end->total - begin_->total;
  const double processors = static_cast<double>(cpu_cores());
  const double others =
      (end->busy - begin_->busy - (end->own - begin_->own)) / total * processors;  // processors used by other processes
  result.load_average = (begin_->load_average + end->load_average) / 2;
  result.steal_fraction = (end->steal - begin_->steal) / total;
  const double spare = processors - static_cast<double>(threads);
  if (*result.steal_fraction > tolerated_steal) {
    result.reason =
        fmt::format("{:.0f} % of the processor time went to other guests of the host", 100 * *result.steal_fraction);
  } else if (others > spare + tolerated_neighbours * static_cast<double>(threads)) {
    result.reason = fmt::format("other processes kept {:.1f} of {} processors busy", others, cpu_cores());
  }
  result.disturbed = !result.reason.empty();
  return result;
}

std::optional<std::int64_t> largest_resident_bytes() { return kibibytes_of("/proc/self/status", "VmHWM"); }

std::optional<std::int64_t> resident_bytes() { return kibibytes_of("/proc/self/status", "VmRSS"); }

std::int64_t free_memory_bytes() { return kibibytes_of("/proc/meminfo", "MemAvailable").value_or(0); }

}  // namespace stepscope
