// libFuzzer's side of a target, which the environment variable STEPSCOPE_FUZZ names. scripts/fuzz builds and runs it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "tests/fuzz/targets.h"

namespace {

using namespace stepscope::testing;

// In memory where that is a folder; one a process, left behind if it crashes.
std::filesystem::path make_folder() {
  const char* const memory = "/dev/shm";
  std::string pattern =
      std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path().string();
  pattern += "/stepscope-fuzz-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) std::abort();
  return pattern;
}

const FuzzTarget& chosen() {
  const char* const name = std::getenv("STEPSCOPE_FUZZ");
  return fuzz_target(name == nullptr ? "" : name);
}

struct Folder {
  std::filesystem::path path = make_folder();
  ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const FuzzTarget& target = chosen();
  static const Folder folder;
  feed(target, folder.path, {reinterpret_cast<const char*>(data), size});
  return 0;
}
