// `cmake --install`: the installed program finds its cards beside itself, wherever that is.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "model/base/file.h"
#include "tests/support/build_folder.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;

class EndToEndInstall : public TemporaryFolder {
 protected:
  // What a shell command prints; both streams.
  std::string output_of(const std::string& command) {
    const fs::path file = folder / "output";
    status_ = std::system(fmt::format("{} > '{}' 2>&1", command, file.string()).c_str());
    return read_file(file);
  }
  int status_ = -1;
};

TEST_F(EndToEndInstall, the_program_takes_what_lies_beside_it) {
  const fs::path prefix = folder / "a prefix";
  const std::string said =
      output_of(fmt::format("cmake --install '{}' --prefix '{}'", build_folder(), prefix.string()));
  ASSERT_EQ(status_, 0) << said;
  const fs::path share = prefix / "share" / "stepscope";
  for (const char* file : {"scripts/report", "scripts/report_page/page.css", "harness/matrices/demo.toml"})
    EXPECT_TRUE(fs::exists(share / file)) << file;
  fs::copy_file(share / "profiles" / "cards" / "h100-sxm.toml", share / "profiles" / "cards" / "of-this-test.toml");
  const std::string plan = output_of(
      fmt::format("cd / && '{}' plan --preset tiny --card of-this-test", (prefix / "bin" / "stepscope").string()));
  EXPECT_EQ(status_, 0) << plan;
}

}  // namespace
}  // namespace stepscope
