// The sections of a report, in the order of the page. Each is a function of the run as analysed; figures.h builds what they draw.
#pragma once

#include "reports/document.h"
#include "reports/recommendation.h"

namespace stepscope {

struct Analysis {  // computed once, read by every section
  const MeasuredRun& run;
  Names names;
  Answer answer;
  std::vector<const Cell*> shown;  // for figures with a row a cell: all of them, or the telling ones of a large matrix

  explicit Analysis(const MeasuredRun& run);
  [[nodiscard]] const Cell* baseline() const { return answer.baseline; }
  [[nodiscard]] const Cell* best() const { return answer.best; }
  [[nodiscard]] bool same_tokens() const;  // every cell has as many tokens a step, so step times compare directly
};

[[nodiscard]] ReportSection answer_section(const Analysis& analysis);
[[nodiscard]] ReportSection time_memory_section(const Analysis& analysis);
[[nodiscard]] ReportSection techniques_section(const Analysis& analysis);
[[nodiscard]] ReportSection choices_section(const Analysis& analysis);  // without blocks where a run has no choices
[[nodiscard]] std::vector<Block> fits_blocks(
    const Analysis& analysis);  // of the answer; none: measured cells say it all
[[nodiscard]] Table budgets_table(const Analysis& analysis);  // of all cells: what each byte budget chose
// Of a card alone, without rows elsewhere: kernels of a cell's last good profiled visit, longest first; who holds its memory.
[[nodiscard]] Table kernels_table(const Analysis& analysis, const Cell& cell);
[[nodiscard]] Table card_memory_table(const Analysis& analysis);
[[nodiscard]] ReportSection cells_section(const Analysis& analysis);
[[nodiscard]] ReportSection memory_section(const Analysis& analysis);
[[nodiscard]] std::vector<Block> floor_blocks(const Analysis& analysis);  // of the section on time
[[nodiscard]] ReportSection time_section(const Analysis& analysis);
[[nodiscard]] ReportSection learning_section(const Analysis& analysis);
[[nodiscard]] ReportSection prediction_section(const Analysis& analysis);
[[nodiscard]] ReportSection trust_section(const Analysis& analysis);

}  // namespace stepscope
