// A report's document as text: report.json for scripts/report, report.md for terminals and reviews, cells.csv for anything else.
#pragma once

#include <string>

#include "reports/document.h"
#include "reports/run_folder.h"

namespace stepscope {

[[nodiscard]] std::string report_json(const Report& report);
[[nodiscard]] std::string report_markdown(const Report& report);
[[nodiscard]] std::string cells_csv(
    const MeasuredRun& run);  // every record flat: one row a cell, "bytes.state" a column, raw numbers

}  // namespace stepscope
