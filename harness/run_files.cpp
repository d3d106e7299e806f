#include "harness/run_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "model/base/error.h"
#include "model/base/file.h"
#include "reports/document.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string text(double number) { return raw(number); }
std::string text(std::int64_t number) { return std::to_string(number); }

const Visit* last_good(const std::vector<Visit>& visits, VisitKind kind) {
  const auto found = std::find_if(visits.rbegin(), visits.rend(), [&](const Visit& visit) {
    return visit.kind == kind && visit.outcome == Outcome::ok;
  });
  return found == visits.rend() ? nullptr : &*found;
}

std::string operations_csv(const Visit& visit) {
  Rows rows;
  for (const SpanSum& span : visit.spans)
    rows.push_back({span.phase, span.site, span.operation, text(span.count), text(span.time_ns), text(span.flops),
                    text(span.bytes)});
  return csv_of({"phase", "site", "operation", "count", "time_ns", "flops", "bytes"}, rows);
}

std::string text(const std::optional<double>& number) { return number ? raw(*number) : ""; }

std::string kernels_csv(const Visit& visit) {
  Rows rows;
  for (const KernelSum& kernel : visit.kernels)
    rows.push_back({kernel.name, kernel.phase, kernel.site, kernel.operation, text(kernel.count), text(kernel.time_ns),
                    text(kernel.flops), text(kernel.bytes)});
  return csv_of({"kernel", "phase", "site", "operation", "count", "time_ns", "flops", "bytes"}, rows);
}

std::string memory_csv(const MemoryTimeline& memory) {
  Rows rows;
  auto next = memory.phases.begin();
  std::string phase;
  for (std::size_t i = 0; i < memory.live_bytes.size(); ++i) {
    for (; next != memory.phases.end() && next->operation <= static_cast<int>(i); ++next) phase = next->phase;
    rows.push_back({std::to_string(i), phase, text(memory.live_bytes[i])});
  }
  return csv_of({"operation", "phase", "live_bytes"}, rows);
}

std::string loss_csv(const Visit& visit) {
  std::map<std::int64_t, double> validation;
  for (const LossPoint& point : visit.validation_losses) validation[point.step] = point.loss;
  Rows rows;
  for (const LossPoint& point : visit.losses) {
    const auto held_out = validation.find(point.step);
    rows.push_back({text(point.step), text(point.tokens_seen), text(point.elapsed_ns), text(point.loss),
                    held_out == validation.end() ? "" : text(held_out->second)});
  }
  return csv_of({"step", "tokens", "elapsed_ns", "loss", "validation_loss"}, rows);
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) : descriptor_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  constexpr int tries = 20, pause_us = 50'000;  // a process that was just killed may not be gone yet
  for (int i = 0; i < tries && flock(descriptor_, LOCK_EX | LOCK_NB) != 0; ++i) {
    if (errno != EWOULDBLOCK) return;  // a file system without locks
    if (i + 1 < tries) {
      usleep(pause_us);
      continue;
    }
    ::close(std::exchange(descriptor_, -1));
    throw UsageError(
        fmt::format("--out {}: another process is at work in it; wait for it, or name another", folder.string()));
  }
}

FolderLock::FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void open_out_folder(const fs::path& folder, const std::string& mark, const std::string& kind) {
  std::error_code error;
  if (fs::exists(folder / mark, error)) return;
  bool foreign = fs::exists(folder, error) && !fs::is_directory(folder, error);
  if (fs::is_directory(folder, error))
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
      foreign = foreign || !is_temporary(entry.path());
  if (foreign)
    throw UsageError(fmt::format("--out {}: is there already and is no {}; name a new folder", folder.string(), kind));
  fs::create_directories(folder, error);
  if (error) throw UsageError(fmt::format("--out {}: cannot be made: {}", folder.string(), error.message()));
}

void remove_temporaries(const fs::path& folder) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    if (is_temporary(entry.path())) fs::remove(entry.path(), error);
}

void write_cell_files(const fs::path& folder, const std::vector<Visit>& visits) {
  if (const Visit* profiled = last_good(visits, VisitKind::profiled)) {
    write_atomically(folder / "operations.csv", operations_csv(*profiled));
    if (!profiled->kernels.empty()) write_atomically(folder / "kernels.csv", kernels_csv(*profiled));
    if (profiled->memory) write_atomically(folder / "memory.csv", memory_csv(*profiled->memory));
  }
  if (const Visit* learning = last_good(visits, VisitKind::learning))
    write_atomically(folder / "loss.csv", loss_csv(*learning));
}

}  // namespace stepscope
