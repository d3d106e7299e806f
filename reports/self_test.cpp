#include "reports/self_test.h"

#include "model/base/file.h"
#include "reports/calibration_fields.h"
#include "reports/format.h"
#include "reports/json_fields.h"

namespace stepscope {

void fields(auto& field, Of<SelfTestLevel> auto& level) {
  field("extra_work", level.extra_work);
  field("pairs", level.pairs);
  field("slower", level.slower);
  field("faster", level.faster);
  field("same", level.same);
  field("undecided", level.undecided);
}
void fields(auto& field, Of<SelfTest> auto& test) {
  field("key", test.key);
  field("time", test.time);
  field("commit", test.commit);
  field("rounds", test.rounds);
  field("levels", test.levels);
}

std::string in_words(const SelfTest& test) {
  std::string text;
  for (const SelfTestLevel& level : test.levels) {
    if (!text.empty()) text += "; ";
    text += level.extra_work == 0
                ? fmt::format("{} of {} equal pairs of runs called different", level.slower + level.faster, level.pairs)
                : fmt::format("{} more work found in {} of {}", format_percent(level.extra_work), level.slower,
                              level.pairs);
  }
  return text;
}

nlohmann::ordered_json to_json(const SelfTest& test) {
  nlohmann::ordered_json json{{"schema", self_test_schema}};
  json.update(written(test));
  return json;
}

SelfTest self_test_from_json(const nlohmann::ordered_json& json, const std::string& file) {
  require_schema(json, self_test_schema, file);
  SelfTest test;
  read(json, test, Place{file, ""});
  return test;
}

SelfTest read_self_test(const std::filesystem::path& file) {
  return self_test_from_json(parse_json_file(file.string()), file.string());
}

void write_self_test(const std::filesystem::path& file, const SelfTest& test) {
  write_atomically(file, to_json(test).dump(1) + "\n");
}

}  // namespace stepscope
