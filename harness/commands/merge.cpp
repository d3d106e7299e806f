// stepscope merge: parts of one matrix, measured apart, as one run.
#include <fmt/format.h>

#include <memory>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/merge.h"

namespace stepscope {

namespace {

struct MergeCommand {
  std::vector<std::string> parts;
  std::string out;
};

void merge(const MergeCommand& command) {
  std::string line = "stepscope merge";
  for (const std::string& part : command.parts) line += " " + shell_quoted(part);
  line += " --out " + shell_quoted(command.out);
  const Merged merged = merge_runs(
      {.parts = {command.parts.begin(), command.parts.end()}, .out = command.out, .command = std::move(line)});
  fmt::print("{} cells, {} visits of {} runs\nreport: stepscope report {}\n", merged.cells, merged.visits,
             command.parts.size(), shell_quoted(command.out));
}

}  // namespace

void add_merge(CLI::App& app) {
  auto command = std::make_shared<MergeCommand>();
  CLI::App& sub = *app.add_subcommand("merge", "parts of one matrix (run --shard, run --only) as one run");
  sub.add_option("runs", command->parts, "their folders")->type_name("RUN")->required()->expected(1, 10'000);
  sub.add_option("--out", command->out, "the new run's folder")->type_name("RUN")->required();
  sub.callback([command] { merge(*command); });
}

}  // namespace stepscope
