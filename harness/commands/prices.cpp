#include "harness/commands/prices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/format.h"

namespace stepscope {

void print_prices(const std::string& cell, const std::string& times_of, const Prices& prices) {
  fmt::print("{}: keeping everything takes an arena of {} and {} a step\ntimes: {}\n", cell,
             format_bytes(static_cast<double>(prices.arena_bytes)), format_time(prices.step_ns), times_of);
  std::size_t width = 14;
  for (const Price& row : prices.rows) width = std::max(width, row.target.size());
  const bool link = std::ranges::any_of(prices.rows, [](const Price& row) { return row.offload.has_value(); });
  fmt::print("{:<{}} {:>11} {:>11} {:>10} {:>9}{}  {}\n", "do not keep", width, "values", "arena falls", "adds",
             "ms/GiB", link ? fmt::format(" {:>11} {:>10} {:>9}", "offloaded", "waits", "ms/GiB") : "",
             "no better than");
  for (const Price& row : prices.rows) {
    const auto price = [](const auto& of) {
      return std::isinf(of.ns_per_gib()) ? "infinite" : fmt::format("{:.3g}", of.ns_per_gib() * 1e-6);
    };
    std::string sent;
    if (row.offload)
      sent = fmt::format(" {:>11} {:>10} {:>9}", format_bytes(static_cast<double>(row.offload->freed_bytes)),
                         format_time(row.offload->added_ns), price(*row.offload));
    fmt::print("{:<{}} {:>11} {:>11} {:>10} {:>9}{}  {}\n", row.target, width,
               format_bytes(static_cast<double>(row.value_bytes)), format_bytes(static_cast<double>(row.freed_bytes)),
               format_time(row.added_ns), price(row), sent, row.dominated_by);
  }
}

void print_prices_json(const std::string& cell, const std::string& times_of, const Prices& prices) {
  for (const Price& row : prices.rows) {
    nlohmann::ordered_json line{{"id", cell},
                                {"target", row.target},
                                {"value_bytes", row.value_bytes},
                                {"freed_bytes", row.freed_bytes},
                                {"added_ns", row.added_ns},
                                {"ns_per_gib", nullptr},
                                {"dominated_by", nullptr},
                                {"times", times_of},
                                {"offload", nullptr}};
    if (row.offload) {
      line["offload"] = {{"freed_bytes", row.offload->freed_bytes},
                         {"host_bytes", row.offload->host_bytes},
                         {"added_ns", row.offload->added_ns},
                         {"ns_per_gib", nullptr}};
      if (std::isfinite(row.offload->ns_per_gib())) line["offload"]["ns_per_gib"] = row.offload->ns_per_gib();
    }
    if (std::isfinite(row.ns_per_gib())) line["ns_per_gib"] = row.ns_per_gib();
    if (!row.dominated_by.empty()) line["dominated_by"] = row.dominated_by;
    fmt::print("{}\n", line.dump());
  }
}

}  // namespace stepscope
