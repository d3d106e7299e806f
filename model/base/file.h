// Whole files, read and written so that nobody ever sees half of one.
//     write_atomically("RUN/cells/a/record.json", text);   // the old file stays until the new one is whole and on disk
//     const std::string text = read_file("kjv.txt");
// Writing goes to PATH.tmp-PID beside PATH, then fsync, rename, fsync of the folder. When it fails the temporary is removed and
// MachineError names the path and the reason. A killed process may leave its temporary behind; is_temporary tells such names.
// A symbolic link stays: the file that it names is written. Only regular files are read and replaced.
// Reading throws UsageError that names the path: missing, a folder, a device, not readable, larger than asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>

namespace stepscope {

void write_atomically(const std::filesystem::path& path, std::string_view text);
// The parts one after the other, so that large ones need not be copied together first.
void write_atomically(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts);

inline constexpr std::uint64_t any_size = std::numeric_limits<std::uint64_t>::max();
[[nodiscard]] std::string read_file(const std::filesystem::path& path, std::uint64_t most_bytes = any_size);

// Asked before long work, for a message that says whose path it is: "" or the reason, as "is a folder, a file is needed".
[[nodiscard]] std::string what_hinders_writing(const std::filesystem::path& path);
[[nodiscard]] std::string what_hinders_reading(const std::filesystem::path& path);

// An open file, for reading parts of a large one. Stays the same file when another takes its name.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  [[nodiscard]] std::string read_all(std::uint64_t most_bytes = any_size) const;
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;  // all of them: an earlier end is refused too

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

[[nodiscard]] bool is_temporary(const std::filesystem::path& path);

}  // namespace stepscope
