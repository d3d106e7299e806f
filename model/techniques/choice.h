// The value of one field as a person wrote it: in a matrix file, in --set, in a record's axes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace stepscope {

using Choice = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;

[[nodiscard]] std::string as_toml(const Choice& choice);  // so that its type shows: "two" in quotes, 2.0
[[nodiscard]] std::string to_string(const Choice& choice);  // "every-2", "4", "MLPBlock+AttentionBlock", "0.1"

}  // namespace stepscope
