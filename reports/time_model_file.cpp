#include "reports/time_model_file.h"

#include <algorithm>
#include <map>

#include "model/base/file.h"
#include "reports/calibration_fields.h"
#include "reports/json_fields.h"

namespace stepscope {

namespace {

constexpr std::size_t most_sources = 8;  // older ones are forgotten
constexpr double longest_ns = 24 * 3600 * 1e9, most_work = 1e18;

void require(bool right, const Place& place, const nlohmann::ordered_json& found, std::string_view expected) {
  if (!right) wrong(place, found, expected);
}

void check(const TimeModelFile& times, const nlohmann::ordered_json& json, const std::string& file) {
  const Place place{file, "operations"};
  const int sources = static_cast<int>(times.sources.size());
  require(!times.model.operations.empty(), place, json["operations"], "at least one operation");
  for (std::size_t i = 0; i < times.model.operations.size(); ++i) {
    const MeasuredOperation& one = times.model.operations[i];
    const Place row = place.in(std::to_string(i));
    const auto within = [&](const char* name, double value, double least, double most, const char* expected) {
      require(value >= least && value <= most, row.in(name), json["operations"][i][name], expected);
    };
    within("time_ns", one.time_ns, 1e-3, longest_ns, "a time above 0 and below a day");
    within("floor_ns", one.floor_ns, 0, longest_ns, "a time, 0 or more, below a day");
    require(one.floor_ns == 0 || one.floor_ns >= 1e-6, row.in("floor_ns"), json["operations"][i]["floor_ns"],
            "0, or a time from 1e-6 ns");
    within("flops", static_cast<double>(one.work.flops), 0, most_work, "a number of FLOPs, 0 to 1e18");
    within("bytes", static_cast<double>(one.work.bytes), 0, most_work, "a number of bytes, 0 to 1e18");
    within("runs", static_cast<double>(one.runs), 1, most_work, "a count, 1 or more");
    require(one.source >= 0 && one.source < sources, row.in("source"), json["operations"][i]["source"],
            fmt::format("the number of one of {} sources, from 0", sources));
  }
  require(times.model.between_ns >= 0 && times.model.between_ns <= longest_ns, {file, "between_ns"}, json["between_ns"],
          "a time, 0 or more, below a day");
  const Card& ceilings = times.model.ceilings;
  const auto is_rate = [](double rate, double least) { return rate >= least && rate <= most_work; };
  require(is_rate(ceilings.bandwidth, 1), {file, "ceilings.bandwidth"}, json["ceilings"]["bandwidth"],
          "bytes a second, 1 to 1e18");
  for (std::size_t i = 0; i < ceilings.levels.size(); ++i)
    require(is_rate(ceilings.levels[i].bandwidth, 1) && ceilings.levels[i].bytes > 0 &&
                (i == 0 || ceilings.levels[i].bytes > ceilings.levels[i - 1].bytes),
            {file, "ceilings.levels"}, json["ceilings"]["levels"],
            "bandwidths of 1 to 1e18 bytes a second, ascending in bytes");
  for (const auto& [name, flops] : {std::pair("fp32_flops", ceilings.fp32_flops),
                                    {"bf16_flops", ceilings.bf16_flops},
                                    {"fp16_flops", ceilings.fp16_flops}})
    require(is_rate(flops, 0), Place{file, "ceilings"}.in(name), json["ceilings"][name], "FLOP/s, 0 to 1e18");
}

// The place of the same source in `all`, put there where it lacks.
int place_of(const TimeModelSource& source, std::vector<TimeModelSource>& all) {
  const auto same = std::find_if(all.begin(), all.end(), [&](const TimeModelSource& one) {
    return one.run == source.run && one.time == source.time && one.commit == source.commit;
  });
  if (same != all.end()) return static_cast<int>(same - all.begin());
  all.push_back(source);
  return static_cast<int>(all.size()) - 1;
}

}  // namespace

void fields(auto& field, Of<BandwidthLevel> auto& level) {
  field("bytes", level.bytes);
  field("bandwidth", level.bandwidth);
}
void fields(auto& field, Of<Card> auto& card) {
  field("fp32_flops", card.fp32_flops);
  field("bf16_flops", card.bf16_flops);
  field("fp16_flops", card.fp16_flops);
  field("bandwidth", card.bandwidth);
  field("levels", card.levels);
}
void fields(auto& field, Of<TimeModelSource> auto& source) {
  field("run", source.run);
  field("time", source.time);
  field("commit", source.commit);
  field("cells", source.cells);
}
void fields(auto& field, Of<LeftOutError> auto& error) {
  field("cells", error.cells);
  field("median", error.median);
  field("worst", error.worst);
  field("worst_cell", error.worst_cell);
  field("rank_correlation", error.rank_correlation);
}
void fields(auto& field, Of<MeasuredOperation> auto& one) {
  field("operation", one.work.operation);
  field("operands", one.work.operands);
  field("phase", one.work.phase);
  field("flops", one.work.flops);
  field("bytes", one.work.bytes);
  field("time_ns", one.time_ns);
  field("floor_ns", one.floor_ns);
  field("runs", one.runs);
  field("cells", one.cells);
  field("source", one.source);
}
void fields(auto& field, Of<TimeModelFile> auto& times) {
  field("key", times.key);
  field("sources", times.sources);
  field("left_out_error", times.left_out_error);
  field("timed_over_profiled", times.timed_over_profiled);
  field("between_ns", times.model.between_ns);
  field("ceilings", times.model.ceilings);
  field("operations", times.model.operations);
}

TimeModelFile joined(TimeModelFile newer, const TimeModelFile& older) {
  if (older.key != newer.key) return newer;
  std::map<OperationWork, int> known;
  for (const MeasuredOperation& one : newer.model.operations) known.emplace(one.work, 0);
  for (MeasuredOperation one : older.model.operations) {
    const TimeModelSource& source = older.sources[static_cast<std::size_t>(one.source)];
    if (known.contains(one.work)) continue;
    one.source = place_of(source, newer.sources);
    one.floor_ns = floor_ns(newer.model.ceilings, one.work);
    if (one.source < static_cast<int>(most_sources)) newer.model.operations.push_back(one);
  }
  newer.sources.resize(std::min(newer.sources.size(), most_sources));
  return newer;
}

TimeModelFile read_time_model(const std::filesystem::path& file) {
  const nlohmann::ordered_json json = parse_json_file(file.string());
  require_schema(json, time_model_schema, file.string());
  TimeModelFile times;
  read(json, times, Place{file.string(), ""});
  check(times, json, file.string());
  times.model.ceilings.name = times.key.processor;
  return times;
}

void write_time_model(const std::filesystem::path& file, const TimeModelFile& times) {
  nlohmann::ordered_json json{{"schema", time_model_schema}};
  json.update(written(times));
  for (std::size_t i = 0; i < times.model.operations.size(); ++i)
    json["operations"][i]["efficiency"] = times.model.operations[i].efficiency();
  write_atomically(file, json.dump(1) + "\n");
}

}  // namespace stepscope
