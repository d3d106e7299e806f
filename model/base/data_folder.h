// Where the files that belong to the program lie: profiles/cards, harness/matrices, scripts.
//     const std::filesystem::path card = data_folder() / "profiles" / "cards" / "h100-sxm.toml";
#pragma once

#include <filesystem>

namespace stepscope {

// share/stepscope beside the folder of an installed program; else the source tree that it was built from.
[[nodiscard]] std::filesystem::path data_folder();

}  // namespace stepscope
