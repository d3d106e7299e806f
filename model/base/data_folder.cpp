#include "model/base/data_folder.h"

namespace stepscope {

namespace fs = std::filesystem;

fs::path data_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path().parent_path() / "share" / "stepscope";
  return !error && fs::is_directory(installed, error) ? installed : fs::path(STEPSCOPE_SOURCE_DIR);
}

}  // namespace stepscope
