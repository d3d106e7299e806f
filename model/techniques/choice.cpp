#include "model/techniques/choice.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace stepscope {

std::string to_string(const Choice& choice) {
  struct Text {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return fmt::format("{}", value); }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const std::vector<std::string>& value) const {
      return value.empty() ? "[]" : fmt::format("{}", fmt::join(value, "+"));
    }
  };
  return std::visit(Text{}, choice);
}

std::string as_toml(const Choice& choice) {
  struct Text {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const {
      const std::string digits = fmt::format("{}", value);
      return digits.find_first_not_of("-0123456789") == std::string::npos ? digits + ".0" : digits;
    }
    std::string operator()(const std::string& value) const { return '"' + value + '"'; }
    std::string operator()(const std::vector<std::string>& value) const {
      return value.empty() ? "[]" : fmt::format("[\"{}\"]", fmt::join(value, "\", \""));
    }
  };
  return std::visit(Text{}, choice);
}

}  // namespace stepscope
