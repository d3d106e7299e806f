#include "model/base/size.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace stepscope {

std::optional<std::int64_t> parse_size(std::string_view text) {
  constexpr std::pair<std::string_view, double> units[] = {
      {"B", 1}, {"KiB", 0x1p10}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size());
  for (const auto& [name, bytes] : units)
    if (error == std::errc{} && unit == name && number * bytes >= 1 && number * bytes < 0x1p60)
      return std::llround(number * bytes);
  return std::nullopt;
}

}  // namespace stepscope
