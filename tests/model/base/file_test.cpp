// Files are whole or not there, and a refusal says which and why.
#include "model/base/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>

#include "model/base/error.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

class FileTest : public TemporaryFolder {
 protected:
  [[nodiscard]] std::ptrdiff_t entries() const {
    return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
  }
};

template <class Error>
std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(FileTest, reads_what_it_wrote) {
  const std::string text("a\0b\n", 4);
  write_atomically(folder / "x", text);
  EXPECT_EQ(read_file(folder / "x"), text);
  EXPECT_EQ(entries(), 1);  // no temporary is left
}

TEST_F(FileTest, replaces_and_shortens) {
  write_atomically(folder / "x", "a longer text");
  write_atomically(folder / "x", "");
  EXPECT_EQ(read_file(folder / "x"), "");
}

TEST_F(FileTest, what_a_killed_process_left_is_overwritten) {
  std::ofstream(folder / ("x.tmp-" + std::to_string(::getpid()))) << "longer than what follows";
  write_atomically(folder / "x", "short");
  EXPECT_EQ(read_file(folder / "x"), "short");
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, writes_parts_in_order) {
  const std::string a = "one ", b = "two";
  const std::span<const std::byte> parts[] = {std::as_bytes(std::span(a)), {}, std::as_bytes(std::span(b))};
  write_atomically(folder / "x", std::span(parts));
  EXPECT_EQ(read_file(folder / "x"), "one two");
}

TEST_F(FileTest, missing_folder_is_named) {
  const auto path = folder / "absent" / "x";
  const std::string message = message_of<MachineError>([&] { write_atomically(path, "text"); });
  EXPECT_EQ(message, path.string() + ": cannot be written: No such file or directory");
}

TEST_F(FileTest, failed_rename_removes_the_temporary) {
  std::filesystem::create_directories(folder / "x" / "inside");
  EXPECT_THROW(write_atomically(folder / "x", "text"), MachineError);
  EXPECT_EQ(entries(), 1);
}

// A full disk, by a limit on file sizes in a child process: the old content stays, the temporary goes.
TEST_F(FileTest, half_written_is_never_seen) {
  write_atomically(folder / "x", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message =
        message_of<MachineError>([&] { write_atomically(folder / "x", std::string(100000, 'n')); });
    ::_exit(message == (folder / "x").string() + ": cannot be written: File too large" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(folder / "x"), "old");
  EXPECT_EQ(entries(), 1);
}

// Two processes that write the same file: neither fails, and whoever reads sees one of the two texts.
TEST_F(FileTest, writers_do_not_meet) {
  const std::string texts[] = {std::string(5000, 'a'), std::string(70000, 'b')};
  write_atomically(folder / "x", texts[0]);
  pid_t children[2];
  for (int i = 0; i < 2; ++i) {
    children[i] = ::fork();
    if (children[i] != 0) continue;
    int failures = 0;
    for (int round = 0; round < 40; ++round)
      failures += message_of<MachineError>([&] { write_atomically(folder / "x", texts[i]); }) != "nothing was thrown";
    ::_exit(failures == 0 ? 0 : 1);
  }
  for (int read = 0; read < 40; ++read) {
    const std::string text = read_file(folder / "x");
    EXPECT_TRUE(text == texts[0] || text == texts[1]) << text.size();
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(entries(), 1);
}

TEST_F(FileTest, refusals_name_the_path) {
  EXPECT_EQ(message_of<UsageError>([&] { static_cast<void>(read_file(folder / "absent")); }),
            (folder / "absent").string() + ": there is no such file");
  EXPECT_EQ(message_of<UsageError>([&] { static_cast<void>(read_file(folder)); }),
            folder.string() + ": is a folder, a file is needed");
  EXPECT_EQ(
      message_of<UsageError>([&] { static_cast<void>(read_file("/proc/self/mem")); }),  // opens, but cannot be read
      "/proc/self/mem: cannot be read: Input/output error");
}

TEST_F(FileTest, only_regular_files_are_read_and_at_once) {
  const auto refused = [](const std::filesystem::path& path) {
    return message_of<UsageError>([&] { static_cast<void>(read_file(path)); });
  };
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", folder / "loop");
  for (const std::string& path : {std::string("/dev/zero"), std::string("/dev/null"), (folder / "pipe").string()}) {
    EXPECT_EQ(refused(path), path + ": is no regular file (a device or a pipe)");
    EXPECT_EQ(what_hinders_reading(path), "is no regular file (a device or a pipe)");
  }
  EXPECT_EQ(refused(folder / "loop"),
            (folder / "loop").string() + ": cannot be read: Too many levels of symbolic links");
}

TEST_F(FileTest, no_more_is_read_than_asked_for) {
  write_atomically(folder / "x", "12345");
  EXPECT_EQ(read_file(folder / "x", 5), "12345");
  EXPECT_EQ(message_of<UsageError>([&] { static_cast<void>(read_file(folder / "x", 4)); }),
            (folder / "x").string() + ": is larger than the 4 bytes that are read of such a file");
  EXPECT_THROW(static_cast<void>(read_file("/proc/self/status", 4)), UsageError);
}

TEST_F(FileTest, a_link_stays_and_the_file_it_names_is_written) {
  std::filesystem::create_directories(folder / "there");
  std::filesystem::create_symlink("there/x", folder / "first");  // to what does not exist yet
  std::filesystem::create_symlink("first", folder / "second");
  for (const std::string text : {"new", "newer"}) {
    write_atomically(folder / "second", text);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "second") && std::filesystem::is_symlink(folder / "first"));
    EXPECT_EQ(read_file(folder / "there" / "x"), text);
  }
}

TEST_F(FileTest, what_is_no_regular_file_is_not_replaced) {
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::filesystem::create_directories(folder / "sub");
  for (const std::string& path : {std::string("/dev/null"), (folder / "pipe").string(), (folder / "sub").string()}) {
    const std::string why = what_hinders_writing(path);
    EXPECT_NE(why, "");
    EXPECT_EQ(message_of<MachineError>([&] { write_atomically(path, "x"); }), path + ": cannot be written: " + why);
  }
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_NE(what_hinders_writing(folder / "absent" / "x"), "");
  EXPECT_NE(what_hinders_writing(""), "");
  EXPECT_EQ(what_hinders_writing(folder / "x"), "");
  EXPECT_EQ(entries(), 2);
}

TEST_F(FileTest, reads_files_that_do_not_know_their_size) {
  EXPECT_NE(read_file("/proc/self/status").find("Name:"), std::string::npos);
}

TEST(File, temporaries_are_told_by_name) {
  EXPECT_TRUE(is_temporary("run/record.json.tmp-4711"));
  EXPECT_FALSE(is_temporary("run/record.json"));
  EXPECT_FALSE(is_temporary("run/record.json.tmp-"));
  EXPECT_FALSE(is_temporary("run.tmp-1/record.json"));
}

}  // namespace
}  // namespace stepscope
