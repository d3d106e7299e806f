#include "tests/support/trace_file.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>

namespace stepscope::testing {

std::string text_of_gzip(const std::filesystem::path& file) {
  std::string text;
  const gzFile stream = gzopen(file.c_str(), "rb");
  if (stream == nullptr) return text;
  EXPECT_FALSE(gzdirect(stream)) << "not gzipped";
  char part[65536];
  int count = 0;
  while ((count = gzread(stream, part, sizeof part)) > 0) text.append(part, static_cast<std::size_t>(count));
  EXPECT_EQ(count, 0);
  EXPECT_EQ(gzclose(stream), Z_OK);
  return text;
}

nlohmann::json read_trace(const std::filesystem::path& file) { return nlohmann::json::parse(text_of_gzip(file)); }

std::int64_t nanoseconds_of(const nlohmann::json& microseconds) {
  const double ns = 1000 * microseconds.get<double>();
  EXPECT_NEAR(ns, std::round(ns), 1e-6 * std::max(1.0, std::abs(ns) * 1e-9)) << microseconds;
  return std::llround(ns);
}

std::vector<nlohmann::json> events_of(const nlohmann::json& trace, const std::string& track) {
  const nlohmann::json& all = trace.at("traceEvents");
  const auto name = std::find_if(all.begin(), all.end(), [&](const nlohmann::json& event) {
    return event.at("name") == "thread_name" && event.at("args").at("name") == track;
  });
  std::vector<nlohmann::json> events;
  if (name == all.end()) return events;
  for (const nlohmann::json& event : all)
    if (event.at("ph") == "X" && event.at("tid") == name->at("tid") && event.at("pid") == name->at("pid"))
      events.push_back(event);
  std::stable_sort(events.begin(), events.end(), [](const nlohmann::json& a, const nlohmann::json& b) {
    const double begin = a.at("ts"), other = b.at("ts");
    return begin != other ? begin < other : a.at("dur").get<double>() > b.at("dur").get<double>();
  });
  return events;
}

std::map<PhaseLayerOperation, OperationSum> operation_sums(const nlohmann::json& trace) {
  std::map<PhaseLayerOperation, OperationSum> sums;
  for (const nlohmann::json& event : events_of(trace, "operation")) {
    const nlohmann::json& arguments = event.at("args");
    OperationSum& sum = sums[{arguments.at("phase"), arguments.at("layer"), event.at("name")}];
    ++sum.count;
    sum.time_ns += nanoseconds_of(event.at("dur"));
    sum.flops += arguments.at("flops").get<std::int64_t>();
    sum.bytes += arguments.at("bytes").get<std::int64_t>();
  }
  return sums;
}

}  // namespace stepscope::testing
