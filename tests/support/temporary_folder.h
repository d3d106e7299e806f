// A folder of its own for each test that derives from this fixture, removed afterwards.
//     class FileTest : public TemporaryFolder {};
//     TEST_F(FileTest, writes) { write_atomically(folder / "x", "text"); }
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace stepscope {

class TemporaryFolder : public ::testing::Test {
 protected:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stepscope-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::filesystem::filesystem_error("mkdtemp", pattern, std::error_code(errno, std::generic_category()));
    folder = pattern;
  }
  ~TemporaryFolder() override { std::filesystem::remove_all(folder); }

  std::filesystem::path folder;
};

}  // namespace stepscope
