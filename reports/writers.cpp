#include "reports/writers.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "reports/record.h"
#include "reports/report.h"

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

const char* kind_name(Block::Kind kind) {
  switch (kind) {
    case Block::Kind::answer: return "answer";
    case Block::Kind::paragraph: return "paragraph";
    case Block::Kind::note: return "note";
    case Block::Kind::table: return "table";
    case Block::Kind::figure: return "figure";
    case Block::Kind::code: return "code";
  }
  return "paragraph";
}

Json json_of(const Table& table) {
  Json json{
      {"name", table.name}, {"caption", table.caption}, {"sortable", table.sortable}, {"shown_rows", table.shown_rows}};
  json["columns"] = Json::array();
  for (const Column& column : table.columns) {
    json["columns"].push_back(
        {{"title", column.title}, {"unit", column.unit}, {"number", column.number}, {"help", column.help}});
  }
  json["rows"] = Json::array();
  for (const std::vector<TableCell>& row : table.rows) {
    Json cells = Json::array();
    for (const TableCell& cell : row) {
      Json one{{"text", cell.text}, {"sort", cell.sort ? Json(*cell.sort) : Json()}, {"mark", cell.mark}};
      if (cell.mark == "heat") one["heat"] = cell.heat;
      cells.push_back(std::move(one));
    }
    json["rows"].push_back(std::move(cells));
  }
  return json;
}

Json json_of(const Figure& figure) {
  Json json{{"name", figure.name},
            {"title", figure.title},
            {"caption", figure.caption},
            {"csv", fmt::format("figures/{}.csv", figure.name)}};
  json["labels"] = Json::object();
  for (const auto& [name, text] : figure.labels) json["labels"][name] = text;
  return json;
}

Json json_of(const Block& block) {
  Json json{{"kind", kind_name(block.kind)}};
  if (block.kind == Block::Kind::table) {
    json["table"] = json_of(block.table);
  } else if (block.kind == Block::Kind::figure) {
    json["figure"] = json_of(block.figure);
  } else {
    json["text"] = block.text;
    if (block.kind == Block::Kind::code) json["caption"] = block.table.caption;
  }
  return json;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '|' ? std::string("\\|") : c == '\n' ? " " : std::string(1, c);
  return result;
}

std::string markdown_of(const Table& table) {
  std::string head = "|", rule = "|", text;
  for (const Column& column : table.columns) {
    head += fmt::format(" {}{} |", escaped(column.title), column.unit.empty() ? "" : " (" + column.unit + ")");
    rule += column.number ? " ---: |" : " --- |";
  }
  if (!table.caption.empty()) text += table.caption + "\n\n";
  text += head + "\n" + rule + "\n";
  for (const std::vector<TableCell>& row : table.rows) {
    text += "|";
    for (const TableCell& cell : row) {
      const char* around = cell.text.empty() ? "" : cell.mark == "code" ? "`" : cell.mark == "best" ? "**" : "";
      text += fmt::format(" {}{}{} |", around, escaped(cell.text), around);
    }
    text += "\n";
  }
  return text;
}

std::string markdown_of(const Block& block) {
  switch (block.kind) {
    case Block::Kind::answer: return fmt::format("**{}**\n", block.text);
    case Block::Kind::paragraph: return block.text + "\n";
    case Block::Kind::note: return fmt::format("- {}\n", block.text);
    case Block::Kind::table: return markdown_of(block.table);
    case Block::Kind::figure:
      return fmt::format("*{}* ({} rows in figures/{}.csv; drawn in index.html). {}\n", block.figure.title,
                         block.figure.rows.size(), block.figure.name, block.figure.caption);
    case Block::Kind::code:
      return fmt::format("{}:\n\n```\n{}{}```\n", block.table.caption, block.text,
                         block.text.ends_with('\n') ? "" : "\n");
  }
  return "";
}

void flatten(const std::string& key, const Json& value, std::vector<std::string>& columns,
             std::vector<std::string>& row) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [name, inner] : value.items()) flatten(key.empty() ? name : key + "." + name, inner, columns, row);
    return;
  }
  std::size_t column = 0;
  while (column < columns.size() && columns[column] != key) ++column;
  if (column == columns.size()) columns.push_back(key);
  if (row.size() <= column) row.resize(column + 1);
  row[column] = value.is_null() || value.is_object() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

std::string report_json(const Report& report) {
  Json json{{"schema", report_schema},
            {"title", report.title},
            {"sentence", report.sentence},
            {"simulated", report.simulated}};
  json["facts"] = Json::array();
  for (const auto& [name, text] : report.facts) json["facts"].push_back({{"name", name}, {"text", text}});
  json["sections"] = Json::array();
  for (const ReportSection& section : report.sections) {
    Json blocks = Json::array();
    for (const Block& block : section.blocks) blocks.push_back(json_of(block));
    json["sections"].push_back({{"id", section.id}, {"title", section.title}, {"blocks", std::move(blocks)}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string report_markdown(const Report& report) {
  std::string text = fmt::format("# {}\n\n", report.title);
  if (report.simulated) text += "**Simulated device: no time in this report was measured on hardware.**\n\n";
  for (const auto& [name, fact] : report.facts) text += fmt::format("- {}: {}\n", name, fact);
  for (const ReportSection& section : report.sections) {
    text += fmt::format("\n## {}\n", section.title);
    for (const Block& block : section.blocks) text += "\n" + markdown_of(block);
  }
  return text;
}

std::string cells_csv(const MeasuredRun& run) {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  for (const Cell& cell : run.cells) {
    flatten("", to_json(cell.record), columns, rows.emplace_back());
  }
  for (std::vector<std::string>& row : rows) row.resize(columns.size());
  return csv_of(columns, rows);
}

}  // namespace stepscope
