// Every file that the program reads and others may have written, each behind one function, for the fuzzer and for the replay of its corpora.
//     const FuzzTarget& target = fuzz_target("card");
//     const std::string refused = feed(target, folder, "name = 1");      // "": it was read
// What a reader may do with any bytes at all: read them, or refuse them by a UsageError (Unsupported where the file asks for what this
// machine never can) of one line. All else leaves feed as it came: another exception, an assertion's std::logic_error, a signal.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace stepscope::testing {

struct FuzzTarget {
  std::string_view name;
  std::string_view file;  // what it is called in its folder
  // Throws std::logic_error where what was read does not hold together.
  void (*read)(const std::filesystem::path& file);
};

[[nodiscard]] std::span<const FuzzTarget> fuzz_targets();
[[nodiscard]] const FuzzTarget& fuzz_target(std::string_view name);  // std::out_of_range: none of that name

// Writes the bytes to target.file in the folder and has them read. "" or the line that refuses them.
std::string feed(const FuzzTarget& target, const std::filesystem::path& folder, std::string_view bytes);

}  // namespace stepscope::testing
