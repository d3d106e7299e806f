#include "tests/support/recorded_ranges.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/build_folder.h"

namespace stepscope::testing {

namespace {

std::optional<std::int64_t> number(const nlohmann::json& event, const char* key) {
  return event.contains(key) ? std::optional<std::int64_t>(event.at(key)) : std::nullopt;
}

}  // namespace

RecordedProcess::RecordedProcess(std::filesystem::path file, bool schemas) : file_(std::move(file)) {
  setenv("NVTX_INJECTION64_PATH", (build_folder() + "/libnvtx_recorder.so").c_str(), 1);
  setenv("STEPSCOPE_RECORD", file_.c_str(), 1);
  setenv("STEPSCOPE_RECORD_SCHEMAS", schemas ? "yes" : "no", 1);
}

RecordedProcess::~RecordedProcess() {
  for (const char* name : {"NVTX_INJECTION64_PATH", "STEPSCOPE_RECORD", "STEPSCOPE_RECORD_SCHEMAS"}) unsetenv(name);
}

Recording RecordedProcess::read() const {
  Recording recording;
  std::vector<int> open;
  std::ifstream stream(file_);
  for (std::string line; std::getline(stream, line);) {
    const auto event = nlohmann::json::parse(line);
    const std::string what = event.at("event");
    if (what == "domain") recording.domains.push_back(event.at("domain"));
    if (what == "string") {
      recording.strings.push_back(event.at("name"));
      recording.strings_first = recording.strings_first && recording.ranges.empty();
    }
    if (what == "push") {
      const int parent = open.empty() ? -1 : open.back();
      open.push_back(static_cast<int>(recording.ranges.size()));
      if (parent >= 0) recording.ranges[static_cast<std::size_t>(parent)].children.push_back(open.back());
      recording.ranges.push_back({.domain = event.at("domain"),
                                  .name = event.at("name"),
                                  .category = event.at("category"),
                                  .registered = event.at("registered"),
                                  .flops = number(event, "FLOPs"),
                                  .bytes = number(event, "bytes"),
                                  .payload = number(event, "payload"),
                                  .parent = parent,
                                  .children = {}});
    }
    if (what != "pop") continue;
    if (open.empty())
      recording.balanced = false;
    else
      open.pop_back();
  }
  recording.balanced = recording.balanced && open.empty();
  return recording;
}

std::vector<int> Recording::around(int range) const {
  std::vector<int> path;
  while ((range = ranges[static_cast<std::size_t>(range)].parent) >= 0) path.push_back(range);
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace stepscope::testing
