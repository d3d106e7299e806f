// How often `compare` is wrong on this machine: pairs of runs of one program without a difference, and with work added to one cell.
//     RUN's environment.json has what was known when it began; the user's cache folder keeps the newest
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reports/calibration.h"

namespace stepscope {

inline constexpr std::string_view self_test_schema = "stepscope.self_test/1";

struct SelfTestLevel {
  double extra_work = 0;  // share of a step's time that the second run's steps took longer; 0: two equal runs
  int pairs = 0;
  int slower = 0, faster = 0, same = 0, undecided = 0;  // verdicts on that cell
};

struct SelfTest {
  CalibrationKey key = {};
  std::string time = {}, commit = {};
  int rounds = 0;  // of each run
  std::vector<SelfTestLevel> levels = {};
};

// "1 of 20 equal pairs was called different; 5 % of added work was found 20 times in 20"
[[nodiscard]] std::string in_words(const SelfTest& test);

[[nodiscard]] nlohmann::ordered_json to_json(const SelfTest& test);
[[nodiscard]] SelfTest self_test_from_json(const nlohmann::ordered_json& json, const std::string& file);  // UsageError
[[nodiscard]] SelfTest read_self_test(const std::filesystem::path& file);
void write_self_test(const std::filesystem::path& file, const SelfTest& test);  // atomically

}  // namespace stepscope
