// stepscope report: from a run's records to its report; the page is drawn by scripts/report from these files.
#include <fmt/format.h>

#include <memory>

#include "harness/commands/commands.h"
#include "reports/report.h"

namespace stepscope {

void add_report(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  CLI::App& sub = *app.add_subcommand("report", "report.md, report.json, cells.csv and figures' data of a run");
  sub.add_option("run", *folder, "the run's folder")->type_name("RUN")->required();
  sub.callback([folder] {
    const int status = write_report(*folder);
    fmt::print("{}\n{}\n", report_on(read_run(*folder)).sentence,
               (std::filesystem::path(*folder) / "report" / "report.md").string());
    if (status != 0) throw ExitStatus{status};
  });
}

}  // namespace stepscope
