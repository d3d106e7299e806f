#include "harness/kept_times.h"

#include <fmt/format.h>

#include "harness/calibrate.h"
#include "harness/printable.h"
#include "model/base/error.h"
#include "reports/format.h"

namespace stepscope {

namespace fs = std::filesystem;

fs::path kept_times_file(const Machine& machine) { return file_beside_calibration(machine, "time-model"); }

KeptTimes kept_times(const Machine& machine) {
  const fs::path file = kept_times_file(machine);
  std::error_code error;
  if (file.empty() || !fs::exists(file, error)) return {};
  try {
    TimeModelFile times = read_time_model(file);
    const std::string why = difference(times.key, calibration_key(machine));
    if (why.empty()) return {std::move(times), ""};
    return {std::nullopt, fmt::format("{} is ignored: {}; the next run replaces it", file.string(), why)};
  } catch (const UsageError& broken) {
    return {std::nullopt, fmt::format("{} is ignored: {}; the next run replaces it", file.string(), broken.what())};
  }
}

std::string keep_times(const Machine& machine, const TimeModelFile& times) {
  const fs::path file = kept_times_file(machine);
  if (file.empty()) return "XDG_CACHE_HOME and HOME are not set";
  const KeptTimes earlier = kept_times(machine);
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error) return fmt::format("{} cannot be made: {}", file.parent_path().string(), error.message());
  try {
    write_time_model(file, earlier.times ? joined(times, *earlier.times) : times);
  } catch (const MachineError& failed) {
    return failed.what();
  }
  return "";
}

std::string source_in_words(const TimeModelFile& times) {
  const TimeModelSource& newest = times.sources.front();
  const std::size_t earlier = times.sources.size() - 1;
  std::string text = fmt::format("{} operations measured on this machine in run {} (commit {}, {})",
                                 format_count(static_cast<double>(times.model.operations.size())), newest.run,
                                 newest.commit.substr(0, 12), newest.time);
  if (earlier > 0) text += fmt::format(" and {} before it", earlier);
  if (times.left_out_error && times.left_out_error->cells > 1)
    text += fmt::format("; of cells it had not seen, the middle step time was off by {}, the worst by {}",
                        format_percent(times.left_out_error->median), format_percent(times.left_out_error->worst));
  return one_line(text);  // a run's folder may be called anything
}

}  // namespace stepscope
