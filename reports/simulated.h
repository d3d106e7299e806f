// What a report says of a run on a simulated card: nothing in it was measured, and it says so everywhere.
//     Report report = ...;  if (is_simulated(run)) report = in_words_of_simulation(std::move(report), is_costed(run));
#pragma once

#include "reports/document.h"
#include "reports/run_folder.h"

namespace stepscope {

[[nodiscard]] bool is_simulated(const MeasuredRun& run);
[[nodiscard]] bool is_costed(const MeasuredRun& run);  // nothing in it was computed

// "Simulated, no hardware ran this: Use bf16 ...": where a sentence stands alone, as on a terminal.
[[nodiscard]] std::string simulated_sentence(const std::string& sentence);

// Every "measured" of texts, tables and figures becomes "simulated", and where cells are costed no cell is called verified; the numbers stay.
[[nodiscard]] Report in_words_of_simulation(Report report, bool costed);

// Both or neither; else throws UsageError that names the two.
void require_alike(const MeasuredRun& a, const MeasuredRun& b);

}  // namespace stepscope
