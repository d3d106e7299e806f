#include "harness/commands/fits.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "reports/format.h"

namespace stepscope {

namespace {

std::string size(std::int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

nlohmann::ordered_json json_of_part(const MemoryPart& part) {
  return {{"name", part.name}, {"bytes", part.bytes}, {"basis", part.basis}, {"source", part.source}};
}

nlohmann::ordered_json json_of(const MemoryFit& fit, std::int64_t state_bytes) {
  nlohmann::ordered_json beside = nlohmann::ordered_json::array();
  for (const MemoryPart& part : fit.beside_of(state_bytes)) beside.push_back(json_of_part(part));
  return {{"memory", json_of_part(fit.memory)}, {"beside", beside}, {"limit_bytes", fit.limit_bytes(state_bytes)}};
}

}  // namespace

std::string fit_json(const MemoryFit& fit, std::int64_t state_bytes) { return json_of(fit, state_bytes).dump(); }

void print_fit(const MemoryFit& fit) {
  std::vector<std::string> parts;
  std::int64_t left = fit.memory.bytes;
  for (const MemoryPart& part : fit.beside) {
    parts.push_back(part.bytes > 0 ? fmt::format("{} {} ({})", part.name, size(part.bytes), part.basis)
                                   : fmt::format("{} not known yet", part.name));
    left -= part.bytes;
  }
  fmt::print("{}: {} ({})\n", fit.memory.name, size(fit.memory.bytes), fit.memory.basis);
  if (!parts.empty()) fmt::print("  less {}\n", fmt::join(parts, ", "));
  fmt::print("  leaves {} for states and arena{}; sources: --json\n", left > 0 ? size(left) : "nothing",
             fit.copies_states ? ", states twice (copied to measure or save them)" : "");
}

void print_plan_json(const PlannedCell& planned, const MemoryFit& fit) {
  const Bytes& bytes = planned.record.bytes;
  nlohmann::ordered_json line = to_json(planned.record);
  line["fit"] = json_of(fit, bytes.state);
  line["fit"]["margin_bytes"] = nullptr;
  const std::int64_t host = fit.holds_host && bytes.host ? bytes.host->planned() : 0;
  if (planned.limit_bytes != 0) line["fit"]["margin_bytes"] = fit.margin_bytes(bytes.state, bytes.arena + host);
  fmt::print("{}\n", line.dump());
}

void print_largest_header(const Dimension& dimension, std::size_t width) {
  fmt::print("{:<{}} {:>16} {:>11} {:>10} {:>11}\n", "cell", width, fmt::format("largest {}", dimension.name), "left",
             "the next", "short");
}

void print_largest(const std::string& cell, const Largest& largest, std::size_t width) {
  const auto count = [](std::int64_t number) { return format_count(static_cast<double>(number)); };
  const std::string next = largest.next > 0 ? count(largest.next) : "no more";
  fmt::print("{:<{}} {:>16} {:>11} {:>10} {:>11}\n", cell, width, largest.value > 0 ? count(largest.value) : "none",
             largest.value > 0 ? size(largest.margin_bytes) : "", next,
             largest.short_bytes > 0   ? size(largest.short_bytes)
             : largest.refused.empty() ? "the last"
                                       : "refused");
  if (!largest.refused.empty()) fmt::print("  {}: {}\n", count(largest.next), largest.refused);
  if (!largest.holes.empty())
    fmt::print("  but not every smaller one fits: {} {}\n", fmt::join(largest.holes, " "),
               largest.holes.size() > 1 ? "do not" : "does not");
}

void print_largest_json(const std::string& cell, const Dimension& dimension, const Largest& largest,
                        const MemoryFit& fit) {
  nlohmann::ordered_json line{{"schema", "stepscope.largest/1"},
                              {"id", cell},
                              {"field", dimension.field},
                              {"step", largest.step},
                              {"last", largest.last},
                              {"value", nullptr},
                              {"margin_bytes", nullptr},
                              {"sets", largest.sets},
                              {"next", nullptr},
                              {"do_not_fit", largest.holes},
                              {"plans", largest.plans},
                              {"memory", json_of_part(fit.memory)}};
  if (largest.value > 0) line["value"] = largest.value, line["margin_bytes"] = largest.margin_bytes;
  if (largest.next > 0) {
    line["next"] = {{"value", largest.next}, {"short_bytes", nullptr}, {"refused", nullptr}};
    if (largest.short_bytes > 0) line["next"]["short_bytes"] = largest.short_bytes;
    if (!largest.refused.empty()) line["next"]["refused"] = largest.refused;
  }
  fmt::print("{}\n", line.dump());
}

}  // namespace stepscope
