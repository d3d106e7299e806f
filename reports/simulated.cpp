#include "reports/simulated.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/base/error.h"

namespace stepscope {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Whole words alone: what is unmeasured stays so.
void replace_word(std::string& text, const std::string& word, const std::string& with) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at)) {
    const std::size_t past = at + word.size();
    const bool whole = (at == 0 || !is_letter(text[at - 1])) && (past == text.size() || !is_letter(text[past]));
    if (whole) text.replace(at, word.size(), with);
    at += whole ? with.size() : word.size();
  }
}

void say(std::string& text) {
  replace_word(text, "measured", "simulated");
  replace_word(text, "Measured", "Simulated");
}

void say(Table& table) {
  say(table.caption);
  for (Column& column : table.columns) say(column.title), say(column.help);
  for (std::vector<TableCell>& row : table.rows)
    for (TableCell& cell : row)
      if (cell.mark != "code") say(cell.text);
}

void say(Figure& figure) {
  say(figure.title);
  say(figure.caption);
  for (auto& [name, text] : figure.labels) say(text);
}

}  // namespace

bool is_simulated(const MeasuredRun& run) {
  return std::ranges::any_of(run.cells, [](const Cell& cell) { return cell.record.device.kind == "simulated"; });
}

std::string simulated_sentence(const std::string& sentence) { return "Simulated, no hardware ran this: " + sentence; }

Report in_words_of_simulation(Report report) {
  report.simulated = true;
  report.title += " (simulated)";
  for (auto& [name, text] : report.facts) say(text);
  for (ReportSection& section : report.sections) {
    say(section.title);
    for (Block& block : section.blocks) {
      if (block.kind != Block::Kind::code) say(block.text);
      say(block.table);
      say(block.figure);
    }
  }
  return report;
}

void require_alike(const MeasuredRun& a, const MeasuredRun& b) {
  if (is_simulated(a) == is_simulated(b)) return;
  const MeasuredRun &simulated = is_simulated(a) ? a : b, &real = is_simulated(a) ? b : a;
  throw UsageError(fmt::format("{} was simulated and {} measured: they are not compared", simulated.name, real.name));
}

}  // namespace stepscope
