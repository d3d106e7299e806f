// Numbers of bytes as people write them: "24GiB", "1.5 GB" is not one.
//     parse_size("24GiB")      // 25769803776; none for what is no size
// Units: B, KiB, MiB, GiB, KB, MB, GB.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace stepscope {

[[nodiscard]] std::optional<std::int64_t> parse_size(std::string_view text);

}  // namespace stepscope
