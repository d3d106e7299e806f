#include "model/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr std::string_view temporary_mark = ".tmp-";

std::string reason(int error) { return std::generic_category().message(error); }

std::string unreadable(int error) {
  if (error == ENOENT) return "there is no such file";
  return "cannot be read: " + reason(error);
}

UsageError refused(const std::filesystem::path& path, const std::string& why) {
  return UsageError(path.string() + ": " + why);
}

// "" for a regular file: others have no end, or none that a reader may wait for.
std::string no_regular_file(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "is a folder, a file is needed";
  return S_ISREG(status.st_mode) ? "" : "is no regular file (a device or a pipe)";
}

// Where a chain of symbolic links ends, so that the links stay; what does not exist yet is an end too.
std::filesystem::path link_target(std::filesystem::path path) {
  constexpr int longest_chain = 40;  // as the kernel's
  std::error_code error;
  for (int i = 0; i < longest_chain && std::filesystem::is_symlink(path, error); ++i)
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
  return path;
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool open() const { return number_ >= 0; }
  int release() { return std::exchange(number_, -1); }
  bool close() { return !open() || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

bool write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

bool write_parts(const std::string& path, std::span<const std::span<const std::byte>> parts) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file.open()) return false;
  for (const std::span<const std::byte> part : parts)
    if (!write_all(file.number(), part)) return false;
  return ::fsync(file.number()) == 0 && file.close();
}

// Makes the rename itself last; file systems that cannot do this (EINVAL) are left to their own order.
bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor handle(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return handle.open() && (::fsync(handle.number()) == 0 || errno == EINVAL);
}

std::string parent_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path().string() : ".";
}

}  // namespace

std::string what_hinders_writing(const std::filesystem::path& path) {
  const std::filesystem::path target = link_target(path);
  struct stat status {};
  if (::stat(target.c_str(), &status) == 0) {
    if (std::string why = no_regular_file(status); !why.empty()) return why;
  } else if (errno != ENOENT || path.empty()) {
    return reason(errno);
  }
  return ::access(parent_of(target).c_str(), W_OK | X_OK) == 0 ? "" : parent_of(target) + ": " + reason(errno);
}

std::string what_hinders_reading(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return unreadable(errno);
  if (std::string why = no_regular_file(status); !why.empty()) return why;
  return ::access(path.c_str(), R_OK) == 0 ? "" : unreadable(errno);
}

void write_atomically(const std::filesystem::path& link, std::span<const std::span<const std::byte>> parts) {
  const std::filesystem::path path = link_target(link);
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw MachineError(path.string() + ": cannot be written: " + no_regular_file(status));
  const std::string temporary = path.string() + std::string(temporary_mark) + std::to_string(::getpid());
  if (!write_parts(temporary, parts) || ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    throw MachineError(path.string() + ": cannot be written: " + reason(error));
  }
  if (!sync_folder(path.parent_path()))
    throw MachineError(path.string() + ": its folder cannot be brought to disk: " + reason(errno));
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  write_atomically(path, std::span(&bytes, 1));
}

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe without a writer is refused too
  if (!file.open()) throw refused(path_, unreadable(errno));
  struct stat status {};
  if (::fstat(file.number(), &status) != 0) throw refused(path_, unreadable(errno));
  if (const std::string why = no_regular_file(status); !why.empty()) throw refused(path_, why);
  size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  descriptor_ = file.release();
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw refused(path_, unreadable(errno));
    if (got == 0)
      throw UsageError(path_.string() + ": ends at byte " + std::to_string(offset) + ", before what was asked for");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

std::string InputFile::read_all(std::uint64_t most_bytes) const {
  const auto within = [&](std::uint64_t length) {
    if (length > most_bytes)
      throw refused(path_, "is larger than the " + std::to_string(most_bytes) + " bytes that are read of such a file");
  };
  within(size_bytes_);
  std::string text(size_bytes_ + 1, '\0');  // one more: the end is seen without growing
  std::size_t length = 0;
  while (true) {
    within(length);
    if (length == text.size()) text.resize(2 * length);  // files of /proc do not know their size
    const ssize_t got = ::read(descriptor_, text.data() + length, text.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw refused(path_, unreadable(errno));
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  text.resize(length);
  return text;
}

std::string read_file(const std::filesystem::path& path, std::uint64_t most_bytes) {
  return InputFile(path).read_all(most_bytes);
}

bool is_temporary(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::size_t mark = name.rfind(temporary_mark);
  if (mark == std::string::npos) return false;
  const std::string digits = name.substr(mark + temporary_mark.size());
  return !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace stepscope
