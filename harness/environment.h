// What a run was made by and on: RUN/environment.json. It decides whether a run may be resumed, and stands in the report.
//     const auto environment = environment_of(machine, "stepscope run demo.toml --out runs/demo");
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "model/program/cost.h"

namespace stepscope {

inline constexpr std::string_view environment_schema = "stepscope.environment/1";

// 16 hexadecimal digits over the bytes of this very program.
[[nodiscard]] std::string program_hash();

// Keys with units; sizes in bytes, times as ISO 8601 in UTC.
[[nodiscard]] nlohmann::ordered_json environment_of(const Machine& machine, const std::string& command);

[[nodiscard]] std::string utc_now();  // "2026-01-31T12:00:00Z"

}  // namespace stepscope
