// Cards by name: what a device can do at most, read from profiles/cards/NAME.toml or a file of the user's own.
//     const CardFile h100 = find_card("h100-sxm");          // or find_card("my.toml")
//     roofline_times(program, h100.card);
// A file: name = "..."; then KEY = { value = NUMBER, basis = "measured" | "vendor" | "estimated", source = "..." } with the keys
// memory_bytes context_bytes (bytes), optionally library_bytes graph_bytes (what else is taken beside a step's own bytes),
// fp32_flops bf16_flops, optionally tf32_flops fp16_flops (dense FLOP/s, sums in fp32), bandwidth (bytes/s), optionally
// host_bandwidth (of the link to host memory, one direction), multiprocessors, clock_hz (of the tensor peaks).
// Throws UsageError of one line: FILE:LINE: key = VALUE: what would be right; for a name, the nearest.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "model/program/cost.h"

namespace stepscope {

struct CardFigure {
  std::string key;
  double value = 0;
  std::string basis, source;
};

struct CardFile {
  Card card;  // its name: the file's, without .toml
  std::string title;  // as people call it
  std::vector<CardFigure> figures;  // all of the file's, each with its source

  [[nodiscard]] const CardFigure* figure(const std::string& key) const;  // null: the file has none
};

[[nodiscard]] CardFile read_card(const std::filesystem::path& file);
[[nodiscard]] CardFile find_card(const std::string& name_or_file);  // a file where it holds a / or ends in .toml
[[nodiscard]] std::vector<CardFile> known_cards();  // by name

}  // namespace stepscope
