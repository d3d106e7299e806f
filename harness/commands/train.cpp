#include "harness/commands/commands.h"
namespace stepscope {
void add_train(CLI::App&) {}
}  // namespace stepscope
