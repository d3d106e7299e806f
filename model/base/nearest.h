// The name that was probably meant, for messages.
//     nearest("layer", {"layers", "heads"}) -> "layers"
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace stepscope {

// By edit distance; "" if none is near.
[[nodiscard]] std::string nearest(std::string_view name, std::span<const std::string> names);

}  // namespace stepscope
