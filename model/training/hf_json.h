// A JSON file of a Hugging Face folder, whole and not nested deeper than any such file is.
//     const nlohmann::json config = read_hf_json(folder / "config.json", 1 << 20);
// UsageError that names the file: not there, larger than `most_bytes`, no JSON, no object, nested deeper than any such file is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace stepscope {

[[nodiscard]] nlohmann::json read_hf_json(const std::filesystem::path& path, std::uint64_t most_bytes);

}  // namespace stepscope
