// A trace file as its readers see it.
//     const nlohmann::json trace = read_trace(folder / "trace.json.gz");
//     operation_sums(trace)[{"forward", "blocks.0.mlp", "gelu"}]          // nanoseconds over the whole trace
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

namespace stepscope::testing {

std::string text_of_gzip(const std::filesystem::path& file);
nlohmann::json read_trace(const std::filesystem::path& file);

std::int64_t nanoseconds_of(
    const nlohmann::json& microseconds);  // a failed expectation where it is no whole number of them
std::vector<nlohmann::json> events_of(const nlohmann::json& trace,
                                      const std::string& track);  // in order of time, the outer first

struct OperationSum {
  std::int64_t count = 0, time_ns = 0, flops = 0, bytes = 0;
};
using PhaseLayerOperation = std::tuple<std::string, std::string, std::string>;
std::map<PhaseLayerOperation, OperationSum> operation_sums(const nlohmann::json& trace);

}  // namespace stepscope::testing
