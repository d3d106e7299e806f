// The comparison of two runs as a report of its own: what differed around them first, then verdicts, then why the most changed cell changed.
//     write_comparison("runs/before", "runs/after", "runs/compared");   // runs/compared/report/, drawn by scripts/report
#pragma once

#include <filesystem>

#include "reports/document.h"
#include "reports/run_comparison.h"

namespace stepscope {

[[nodiscard]] Report comparison_report(const MeasuredRun& a, const MeasuredRun& b, const RunComparison& comparison);

// FOLDER/report/{report.json, report.md, figures/*.csv}, every file atomically. FOLDER is made where it is missing.
void write_comparison(const MeasuredRun& a, const MeasuredRun& b, const RunComparison& comparison,
                      const std::filesystem::path& folder);

}  // namespace stepscope
