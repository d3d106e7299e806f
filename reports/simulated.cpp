#include "reports/simulated.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

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

using Words = std::vector<std::pair<std::string, std::string>>;  // instead of the first the second

void say(const Words& words, std::string& text) {
  for (const auto& [word, with] : words) replace_word(text, word, with);
}

void say(const Words& words, Table& table) {
  say(words, table.caption);
  for (Column& column : table.columns) say(words, column.title), say(words, column.help);
  for (std::vector<TableCell>& row : table.rows)
    for (TableCell& cell : row)
      if (cell.mark != "code") say(words, cell.text);
}

void say(const Words& words, Figure& figure) {
  say(words, figure.title);
  say(words, figure.caption);
  for (auto& [name, text] : figure.labels) say(words, text);
}

}  // namespace

bool is_simulated(const MeasuredRun& run) {
  return std::ranges::any_of(run.cells, [](const Cell& cell) { return cell.record.device.kind == "simulated"; });
}

std::string simulated_sentence(const std::string& sentence) { return "Simulated, no hardware ran this: " + sentence; }

bool is_costed(const MeasuredRun& run) {
  return std::ranges::any_of(run.cells, [](const Cell& cell) { return cell.record.numerics.not_computed.has_value(); });
}

Report in_words_of_simulation(Report report, bool costed) {
  report.simulated = true;
  report.title += " (simulated)";
  Words words{{"measured", "simulated"}, {"Measured", "Simulated"}};
  if (costed) words.insert(words.end(), {{"verified cell", "costed cell"}, {"verified cells", "costed cells"}});
  say(words, report.sentence);
  for (auto& [name, text] : report.facts) say(words, text);
  for (ReportSection& section : report.sections) {
    say(words, section.title);
    for (Block& block : section.blocks) {
      if (block.kind != Block::Kind::code) say(words, block.text);
      say(words, block.table);
      say(words, block.figure);
    }
  }
  return report;
}

void require_alike(const MeasuredRun& a, const MeasuredRun& b) {
  const auto refuse_unless_alike = [&](bool of_a, bool of_b, const char* is, const char* is_not) {
    if (of_a == of_b) return;
    throw UsageError(fmt::format("{} was {} and {} {}: they are not compared", (of_a ? a : b).name, is,
                                 (of_a ? b : a).name, is_not));
  };
  refuse_unless_alike(is_simulated(a), is_simulated(b), "simulated", "measured");
  refuse_unless_alike(is_costed(a), is_costed(b), "costed", "computed");
}

}  // namespace stepscope
