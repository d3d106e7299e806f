// A report as data: sections of blocks. Writers (Markdown, JSON, the page of scripts/report) show blocks and compute nothing.
//     ReportSection section{.id = "cells", .title = "All cells"};
//     section.blocks.push_back(paragraph("19 cells, 16 measured."));   section.blocks.push_back(block(std::move(table)));
// Texts are UTF-8, already in units; `sort` is the number behind a text, in ns, bytes or 1.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace stepscope {

struct TableCell {
  std::string text = {};
  std::optional<double> sort = {};
  std::string mark = {};  // good | bad | muted | best | code | heat, or nothing
  double heat = 0;  // 0 to 1, with the mark heat
};
[[nodiscard]] TableCell text_cell(std::string text, std::string mark = "");
[[nodiscard]] TableCell number_cell(std::string text, double sort, std::string mark = "");
[[nodiscard]] TableCell no_value();  // a dash, sorted last

struct Column {
  std::string title = {};
  std::string unit = {};
  bool number = true;
  std::string help = {};
};

struct Table {
  std::string name = {};
  std::string caption = {};
  std::vector<Column> columns = {};
  std::vector<std::vector<TableCell>> rows = {};
  bool sortable = false;
  std::size_t shown_rows = 0;  // the rest unfolds; 0 shows all
};

// What a figure draws, and its CSV: raw numbers in ns, bytes and 1. Drawn exactly from the file beside it.
struct Figure {
  std::string name = {};  // figures/NAME.csv, and the drawing in scripts/report
  std::string title = {};
  std::string caption = {};  // what to see, in a sentence or two
  std::vector<std::pair<std::string, std::string>> labels =
      {};  // words of axes that depend on the run: {"y", "step time"}
  std::vector<std::string> columns = {};
  std::vector<std::vector<std::string>> rows = {};
};

struct Block {
  enum class Kind { answer, paragraph, note, table, figure, code } kind = Kind::paragraph;
  std::string text = {};  // of answer, paragraph, note and code
  Table table = {};
  Figure figure = {};
};
[[nodiscard]] Block answer_block(std::string text);
[[nodiscard]] Block paragraph(std::string text);
[[nodiscard]] Block note(std::string text);
[[nodiscard]] Block code(std::string caption, std::string text);  // the caption is what unfolds
[[nodiscard]] Block block(Table table);
[[nodiscard]] Block block(Figure figure);

struct ReportSection {
  std::string id = {}, title = {};
  std::vector<Block> blocks = {};
};

struct Report {
  std::string title = {};
  std::string sentence = {};  // the answer
  bool simulated = false;  // printed across the page
  std::vector<std::pair<std::string, std::string>> facts = {};  // the head of the page: model, machine, cells
  std::vector<ReportSection> sections = {};
};

[[nodiscard]] std::string csv_of(const std::vector<std::string>& columns,
                                 const std::vector<std::vector<std::string>>& rows);  // RFC 4180
[[nodiscard]] std::string raw(double value);  // shortest text that reads back as the same number; not a number: empty

}  // namespace stepscope
