#include "reports/format.h"

#include <fmt/format.h>

#include <cmath>

namespace stepscope {

namespace {

// Four significant digits in a column's largest value, never more than three decimals.
int decimals_for(double largest) {
  if (largest >= 1000) return 0;
  if (largest >= 100) return 1;
  return largest >= 10 ? 2 : 3;
}

Unit made(double largest, double scale, const char* name) {
  return {.scale = scale, .name = name, .decimals = decimals_for(std::abs(largest) / scale)};
}

}  // namespace

Unit time_unit(double largest_ns) {
  const double size = std::abs(largest_ns);
  if (size >= 1e9) return made(size, 1e9, "s");
  if (size >= 1e6) return made(size, 1e6, "ms");
  return size >= 1e3 ? made(size, 1e3, "µs") : Unit{1, "ns", 0};
}

Unit bytes_unit(double largest_bytes) {
  constexpr double kib = 1024, mib = kib * 1024, gib = mib * 1024;
  const double size = std::abs(largest_bytes);
  if (size >= gib) return made(size, gib, "GiB");
  if (size >= mib) return made(size, mib, "MiB");
  return size >= kib ? made(size, kib, "KiB") : Unit{1, "B", 0};
}

std::string in(const Unit& unit, double value) {
  const std::string digits = fmt::format("{:.{}f}", std::abs(value) / unit.scale, unit.decimals);
  const bool negative = value < 0 && digits.find_first_not_of("0.") != std::string::npos;  // no "−0.0"
  return (negative ? "−" : "") + digits;
}
std::string with(const Unit& unit, double value) { return in(unit, value) + " " + unit.name; }
std::string format_time(double ns) { return with(time_unit(ns), ns); }
std::string format_bytes(double bytes) { return with(bytes_unit(bytes), bytes); }

std::string format_count(double count) {
  std::string digits = fmt::format("{:.0f}", std::abs(count));
  for (int place = static_cast<int>(digits.size()) - 3; place > 0; place -= 3) {
    digits.insert(static_cast<std::size_t>(place), ",");
  }
  return (count < 0 ? "−" : "") + digits;
}

std::string format_percent(double fraction) {
  const double percent = fraction * 100;
  return fmt::format("{:.{}f} %", percent, std::abs(percent) >= 9.95 || percent == 0 ? 0 : 1);
}

std::string format_ratio(double ratio) { return fmt::format("{:.{}f}", ratio, ratio >= 10 ? 1 : 2); }

std::string format_ratio(const Interval& ratio) {
  if (!ratio.low || !ratio.high) return format_ratio(ratio.middle) + "×";
  return fmt::format("{}× ({}–{})", format_ratio(ratio.middle), format_ratio(*ratio.low), format_ratio(*ratio.high));
}

std::string format_error(double error) {
  if (std::isnan(error)) return "NaN";
  return error == 0 ? "0" : fmt::format("{:.1e}", error);
}

std::string format_loss(double loss) { return std::isfinite(loss) ? fmt::format("{:.4f}", loss) : "NaN"; }

Interval inverse(const Interval& ratio) {
  Interval result{.middle = 1 / ratio.middle, .low = {}, .high = {}, .count = ratio.count};
  if (ratio.low && ratio.high) {
    result.low = 1 / *ratio.high;
    result.high = 1 / *ratio.low;
  }
  return result;
}

}  // namespace stepscope
