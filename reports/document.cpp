#include "reports/document.h"

#include <fmt/format.h>

#include <cmath>

namespace stepscope {

TableCell text_cell(std::string text, std::string mark) { return {.text = std::move(text), .mark = std::move(mark)}; }
TableCell number_cell(std::string text, double sort, std::string mark) {
  return {.text = std::move(text), .sort = sort, .mark = std::move(mark)};
}
TableCell no_value() { return {.text = "–", .mark = "muted"}; }

Block answer_block(std::string text) { return {.kind = Block::Kind::answer, .text = std::move(text)}; }
Block paragraph(std::string text) { return {.kind = Block::Kind::paragraph, .text = std::move(text)}; }
Block note(std::string text) { return {.kind = Block::Kind::note, .text = std::move(text)}; }
Block code(std::string caption, std::string text) {
  return {.kind = Block::Kind::code, .text = std::move(text), .table = {.caption = std::move(caption)}};
}
Block block(Table table) { return {.kind = Block::Kind::table, .table = std::move(table)}; }
Block block(Figure figure) { return {.kind = Block::Kind::figure, .figure = std::move(figure)}; }

namespace {

void append_line(std::string& text, const std::vector<std::string>& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) text += ',';
    if (fields[i].find_first_of(",\"\r\n") == std::string::npos) {
      text += fields[i];
      continue;
    }
    text += '"';
    for (const char c : fields[i]) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    text += '"';
  }
  text += '\n';
}

}  // namespace

std::string csv_of(const std::vector<std::string>& columns, const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  append_line(text, columns);
  for (const std::vector<std::string>& row : rows) append_line(text, row);
  return text;
}

std::string raw(double value) { return std::isfinite(value) ? fmt::format("{}", value) : ""; }

}  // namespace stepscope
