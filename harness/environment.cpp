#include "harness/environment.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <utility>

#include "harness/device.h"
#include "harness/simulated_device.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/base/hash.h"
#include "model/cpu/machine.h"

namespace stepscope {

namespace {

// The first line that a command prints; "" where it fails.
std::string first_line_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen((command + " 2>/dev/null").c_str(), "r"), pclose);
  std::array<char, 256> line{};
  if (!pipe || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return "";
  std::string text(line.data());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::string system_name() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("PRETTY_NAME=\"")) return line.substr(13, line.size() - 14);
  return "unknown";
}

std::string first_line_in(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// What HEAD names, read as git keeps it: "" where that is not to be had so simply.
std::string commit_without_git() {
  const std::string folder = STEPSCOPE_SOURCE_DIR "/.git/", head = first_line_in(folder + "HEAD");
  constexpr std::string_view reference = "ref: ";
  if (!head.starts_with(reference)) return head;
  const std::string name = head.substr(reference.size());
  if (const std::string hash = first_line_in(folder + name); !hash.empty()) return hash;
  std::ifstream packed(folder + "packed-refs");
  for (std::string line; std::getline(packed, line);)
    if (line.ends_with(" " + name)) return line.substr(0, line.find(' '));
  return "";
}

// The commit of the source tree that the program was built from, where that tree is there and is a clone.
std::string commit() {
  const std::string git = "git -C '" STEPSCOPE_SOURCE_DIR "' ";
  const std::string hash = first_line_of(git + "rev-parse HEAD");
  if (hash.empty()) {
    const std::string head = commit_without_git();
    return head.empty() ? "unknown: not built in a clone" : head + " (without git here, changes are not known)";
  }
  return first_line_of(git + "status --porcelain --untracked-files=no").empty() ? hash : hash + " with changes";
}

}  // namespace

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

std::string program_hash() { return hexadecimal(hash_of(read_file("/proc/self/exe"))); }

nlohmann::ordered_json environment_of(const Machine& machine, const std::string& command) {
  utsname kernel{};
  uname(&kernel);
  const bool on_card = machine.kind == Machine::Kind::cuda;
  return {{"schema", environment_schema},
          {"command", command},
          {"time", utc_now()},
          {"device", on_card ? machine.name : "cpu"},
          {"device_kind", kind_of_device(machine)},
          {"times", times_in_words(machine)},
          {"processor", on_card ? this_cpu(1).name : machine.name},
          {"processors", cpu_cores()},
          {"threads", machine.threads},
          {"memory_bytes", machine.memory_bytes},
          {"bf16", machine.native_bf16 ? "native" : "widened"},
          {"fp16", machine.native_fp16 ? "native" : "widened"},
          {"system", system_name()},
          {"kernel", fmt::format("{} {}", kernel.sysname, kernel.release)},
          {"commit", commit()},
          {"program_hash", program_hash()},
          {"compiler", fmt::format("g++ {}, -march={}", __VERSION__, STEPSCOPE_MARCH)},
          {"onednn", onednn_version()}};
}

void require_same_run(const nlohmann::ordered_json& there, const nlohmann::ordered_json& here,
                      const std::filesystem::path& file) {
  if (!there.is_object() || !there.contains("schema") || there["schema"] != environment_schema)
    throw UsageError(
        fmt::format("{}: schema is not {}; name a new folder with --out", file.string(), environment_schema));
  const auto value_of = [](const nlohmann::ordered_json& json, const char* key) {
    return json.contains(key) ? json[key].dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) : "nothing";
  };
  const auto differing = [&](const char* key) {
    return fmt::format("{} {}, and this is {}", key, value_of(there, key), value_of(here, key));
  };
  const std::pair<const char*, std::string> same[] = {{"program_hash", "another build of the program"},
                                                      {"matrix_hash", "another matrix"},
                                                      {"data_hash", "another text, vocabulary or mask, by its bytes"},
                                                      {"device", differing("device")},
                                                      {"processor", differing("processor")},
                                                      {"threads", differing("threads")}};
  for (const auto& [key, what] : same)
    if (!there.contains(key) || there[key] != here[key])
      throw UsageError(fmt::format("{}: {} holds a run of {}; name a new folder with --out", file.string(),
                                   file.parent_path().string(), what));
}

}  // namespace stepscope
