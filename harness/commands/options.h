// What several commands take: a matrix file or a preset, --set, --data, --json, --device, --threads; and sizes as people write them.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "harness/matrix.h"
#include "model/program/cost.h"

namespace stepscope {

struct ConfigurationOptions {
  std::string matrix;  // MATRIX.toml; "": none
  std::string preset;
  std::string hf;
  std::string source;  // --data
  std::vector<std::string> sets;  // FIELD=VALUE

  [[nodiscard]] Assignments overrides() const { return overrides_of(sets, preset, source, hf); }
  [[nodiscard]] Matrix read(
      const Assignments& overrides) const;  // UsageError where neither file, preset nor folder is given
  [[nodiscard]] Matrix read() const { return read(overrides()); }
  [[nodiscard]] std::string as_arguments() const;  // quoted for a shell: "demo.toml --set layers=2"
};

void add_configuration_options(CLI::App& command, ConfigurationOptions& options);
void add_json_option(CLI::App& command, bool& json);
[[nodiscard]] Machine machine_of(int threads);  // this processor and what is known of it; 0 threads: as many as it has
CLI::Option* add_device_option(CLI::App& command,
                               std::string& device);  // machine_on(device, threads), harness/device.h
void add_threads_option(CLI::App& command, int& threads);  // 0: every processor there is

// --memory-cap SIZE: states and arenas of this process beyond it are refused, to see what a smaller device would do.
void add_memory_cap_option(CLI::App& command, std::string& size);
void cap_memory_to(const std::string& size);  // "": no cap; UsageError for what is no size
[[nodiscard]] Machine with_cap(Machine machine, const std::string& size);  // what budget:auto then chooses by

// --export hf:DIR, of `step` and `train`.
void add_export_option(CLI::App& command, std::string& target);
// DIR, "" where the option is not given. Before the work whose result would be lost: UsageError where it cannot be exported.
[[nodiscard]] std::filesystem::path export_folder_of(const std::string& target, const Configuration& configuration);

[[nodiscard]] CLI::Validator above_zero(const std::string& unit);  // "seconds": a finite number of them
[[nodiscard]] std::int64_t parse_bytes(const std::string& text,
                                       const std::string& option);  // "24GiB"; B KiB MiB GiB KB MB GB
[[nodiscard]] std::string shell_quoted(const std::string& text);

}  // namespace stepscope
