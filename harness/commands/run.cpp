#include "harness/commands/commands.h"
namespace stepscope {
void add_run(CLI::App&) {}
}  // namespace stepscope
