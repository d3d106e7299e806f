// Numbers as people read them. A column shares one unit, chosen for its largest value; a sentence gets a unit of its own.
//     const Unit unit = time_unit(183.1e6);   in(unit, 183.1e6) -> "183.1"   with(unit, 183.1e6) -> "183.1 ms"
#pragma once

#include <optional>
#include <string>

#include "reports/statistics.h"

namespace stepscope {

struct Unit {
  double scale = 1;  // one unit, in ns, bytes or whatever the value is in
  std::string name = {};
  int decimals = 0;
};

[[nodiscard]] Unit time_unit(double largest_ns);  // ns, us, ms, s
[[nodiscard]] Unit bytes_unit(double largest_bytes);  // B, KiB, MiB, GiB

[[nodiscard]] std::string in(const Unit& unit, double value);  // "183.1"
[[nodiscard]] std::string with(const Unit& unit, double value);  // "183.1 ms"

[[nodiscard]] std::string format_time(double ns);
[[nodiscard]] std::string format_bytes(double bytes);
[[nodiscard]] std::string format_count(double count);  // 155,877,376
[[nodiscard]] std::string format_percent(double fraction);  // 0.412 -> "41 %", 0.0123 -> "1.2 %"
[[nodiscard]] std::string format_ratio(double ratio);  // "1.83"
[[nodiscard]] std::string format_ratio(const Interval& ratio);  // "1.83× (1.79–1.87)"; one visit: "1.83×"
[[nodiscard]] std::string format_error(double error);  // "3.1e-03"; 0 -> "0"
[[nodiscard]] std::string format_loss(double loss);  // "5.5413"; not a number -> "NaN"

// 1 / ratio, with its ends exchanged: a ratio of times becomes one of speeds.
[[nodiscard]] Interval inverse(const Interval& ratio);

[[nodiscard]] inline double as_double(std::int64_t value) { return static_cast<double>(value); }  // to be formatted

}  // namespace stepscope
