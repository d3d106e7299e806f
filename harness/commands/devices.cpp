// stepscope devices: what is here to train on.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "reports/format.h"

namespace stepscope {

namespace {

void devices(bool json) {
  const Machine machine = machine_of(0);
  if (json) {
    const nlohmann::ordered_json line{{"schema", "stepscope.device/1"},
                                      {"kind", "cpu"},
                                      {"name", machine.name},
                                      {"threads", machine.threads},
                                      {"memory_bytes", machine.memory_bytes},
                                      {"native_bf16", machine.native_bf16}};
    fmt::print("{}\n", line.dump());
    return;
  }
  fmt::print("cpu   {}\n", machine.name);
  fmt::print("      {} threads, {} of memory\n", machine.threads,
             format_bytes(static_cast<double>(machine.memory_bytes)));
  fmt::print("      fp32 native, bf16 {}\n",
             machine.native_bf16 ? "native" : "widened to fp32: its times say nothing about bf16");
  fmt::print("gpu   none in this build\n");
}

}  // namespace

void add_devices(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App& sub = *app.add_subcommand("devices", "what is here: processor, memory, native precisions");
  add_json_option(sub, *json);
  sub.callback([json] { devices(*json); });
}

}  // namespace stepscope
