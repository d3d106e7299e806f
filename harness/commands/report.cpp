// stepscope report: from a run's records to its report; the page is drawn by scripts/report from the files written here.
#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <memory>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "model/base/data_folder.h"
#include "reports/report.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;

// Python shows what C++ computed. Without it, or without its libraries, everything but the page is there all the same.
bool draw_page(const fs::path& run) {
  const fs::path script = data_folder() / "scripts" / "report";
  if (!fs::exists(script)) return false;
  std::fflush(stdout);
  const int status =
      std::system((shell_quoted(script.string()) + " " + shell_quoted(run.string()) + " > /dev/null").c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void report(const std::string& folder) {
  write_report(folder);
  const std::string page = page_of(folder);
  fmt::print("{}\n{}\n", report_on(read_run(folder)).sentence, page);
}

}  // namespace

std::string page_of(const fs::path& run) {
  return (run / "report" / (draw_page(run) ? "index.html" : "report.md")).string();
}

void add_report(CLI::App& app) {
  auto folder = std::make_shared<std::string>();
  CLI::App& sub = *app.add_subcommand("report", "report.md, report.json, cells.csv and index.html of a run");
  sub.add_option("run", *folder, "the run's folder")->type_name("RUN")->required();
  sub.callback([folder] { report(*folder); });
}

}  // namespace stepscope
