// Standard output that is full, closed or gone, and limits that a shell sets: a status and one line, never a half of anything.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "model/base/file.h"
#include "tests/support/build_folder.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class EndToEndStreams : public TemporaryFolder {
 protected:
  // Of a shell's line with `stepscope` in it, run in the folder; what it said on standard error is kept.
  int status_of(const std::string& line) {
    const std::string script = "cd '" + folder.string() + "'\nstepscope() { '" + build_folder() +
                               "/stepscope' \"$@\"; }\nexec 2>said\n" + line + "\n";
    const fs::path file = folder / "line.sh";
    write_atomically(file, script);
    const int status = std::system(("bash '" + file.string() + "'").c_str());
    said = read_file(folder / "said");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] std::ptrdiff_t temporaries() const {
    return std::count_if(fs::recursive_directory_iterator(folder), {},
                         [](const fs::directory_entry& entry) { return is_temporary(entry.path()); });
  }
  std::string said;
};

TEST_F(EndToEndStreams, lost_output_is_a_failure_of_every_command) {
  ASSERT_EQ(status_of("stepscope run --preset tiny --fast --out run > /dev/null"), 0) << said;
  for (const std::string command : {"plan --preset tiny", "plan --preset tiny --dump", "step --preset tiny", "devices",
                                    "run --preset tiny --fast --out run", "report run", "--version", "--help",
                                    "plan --help", "train --preset tiny --steps 2 --out t"})
    for (const std::string where : {"> /dev/full", ">&-"}) {
      EXPECT_EQ(status_of("stepscope " + command + " " + where), 3) << command << where;
      EXPECT_EQ(said, "stepscope: standard output cannot be written: what was printed is lost\n") << command << where;
    }
}

// Else a training's folder, a log or a pipe would be what is printed into.
TEST_F(EndToEndStreams, a_closed_stream_lends_its_number_to_no_file) {
  ASSERT_EQ(status_of("'" + build_folder() +
                      "/stepscope' train --preset tiny --steps 1000000 --out t <&- >&- 2>&- &\n"
                      "for i in {1..100}; do [ -e t/cell.toml ] && break; sleep 0.05; done\n"
                      "readlink /proc/$!/fd/0 /proc/$!/fd/1 /proc/$!/fd/2 > held; kill -9 $!"),
            0);
  EXPECT_EQ(read_file(folder / "held"), "/dev/null\n/dev/null\n/dev/null\n");
}

TEST_F(EndToEndStreams, a_reader_that_has_seen_enough_is_none) {
  status_of("stepscope plan --preset tiny --set layers=200 --dump | head -n 1 > first");
  EXPECT_EQ(said, "");
}

TEST_F(EndToEndStreams, a_limit_on_file_sizes_is_told_and_leaves_nothing) {
  for (const std::string command : {"step --preset tiny --save out", "train --preset tiny --steps 2 --out t",
                                    "run --preset tiny --fast --out run"}) {
    EXPECT_EQ(status_of("ulimit -f 8; stepscope " + command + " > /dev/null"), 3) << command;
    EXPECT_THAT(said, HasSubstr("cannot be written: File too large\n")) << command;
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  }
  EXPECT_EQ(temporaries(), 0);
}

}  // namespace
}  // namespace stepscope
