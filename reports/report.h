// `stepscope report RUN`: from RUN/cells to RUN/report/{report.json, report.md, cells.csv, figures/*.csv}. The page index.html is made from
// these files by scripts/report.
//     write_report("runs/demo");   fmt::print("{}\n", report_on(read_run("runs/demo")).sentence);
// Throws UsageError where the folder is no run or holds a file of another schema.
#pragma once

#include <filesystem>

#include "reports/document.h"
#include "reports/run_folder.h"

namespace stepscope {

inline constexpr std::string_view report_schema = "stepscope.report/1";

[[nodiscard]] Report report_on(const MeasuredRun& run);  // pure: the same run gives the same report

// FOLDER/{report.json, report.md, figures/*.csv}: a document without the rest of a run. Old figures are removed.
void write_document(const Report& report, const std::filesystem::path& folder);

int write_report(const std::filesystem::path& run_folder);  // 0; every file written atomically, old figures removed

}  // namespace stepscope
