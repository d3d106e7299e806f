// What a run was made by and on: RUN/environment.json. It decides whether a run may be resumed, and stands in the report.
//     const auto environment = environment_of(machine, "stepscope run demo.toml --out runs/demo");
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "model/program/cost.h"

namespace stepscope {

inline constexpr std::string_view environment_schema = "stepscope.environment/1";

// 16 hexadecimal digits over the bytes of this very program.
[[nodiscard]] std::string program_hash();

// Keys with units; sizes in bytes, times as ISO 8601 in UTC.
[[nodiscard]] nlohmann::ordered_json environment_of(const Machine& machine, const std::string& command);

// UsageError where the run that lies beside `file`, whose content is `there`, is one of another program, matrix, text or machine.
void require_same_run(const nlohmann::ordered_json& there, const nlohmann::ordered_json& here,
                      const std::filesystem::path& file);

[[nodiscard]] std::string utc_now();  // "2026-01-31T12:00:00Z"

}  // namespace stepscope
