#include "reports/choices.h"

#include "model/base/file.h"
#include "reports/json_fields.h"

namespace stepscope {

void fields(auto& field, Of<FrontierRow> auto& row) {
  field("value", row.value);
  field("named", row.named);
  field("peak_bytes", row.peak_bytes);
  field("logits_chunks", row.logits_chunks);
  field("step_ns", row.step_ns);
  field("repeated_ns", row.repeated_ns);
  field("dominated_by", row.dominated_by);
}
void fields(auto& field, Of<PriceRow> auto& row) {
  field("target", row.target);
  field("freed_bytes", row.freed_bytes);
  field("added_ns", row.added_ns);
  field("dominated_by", row.dominated_by);
}
void fields(auto& field, Of<ChoiceGroup> auto& group) {
  field("title", group.title);
  field("cells", group.cells);
  field("state_bytes", group.state_bytes);
  field("frontier", group.frontier);
  field("dominated", group.dominated);
  field("prices", group.prices);
}
void fields(auto& field, Of<Choices> auto& choices) {
  field("times_of", choices.times_of);
  field("groups", choices.groups);
  field("groups_left_out", choices.groups_left_out);
}

Choices read_choices(const std::filesystem::path& file) {
  const nlohmann::ordered_json json = parse_json_file(file.string());
  require_schema(json, choices_schema, file.string());
  Choices choices;
  read(json, choices, Place{file.string(), ""});
  return choices;
}

void write_choices(const std::filesystem::path& file, const Choices& choices) {
  nlohmann::ordered_json json{{"schema", choices_schema}};
  json.update(written(choices));
  write_atomically(file, json.dump(1) + "\n");
}

}  // namespace stepscope
