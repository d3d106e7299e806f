#include "reports/record.h"

#include <array>

#include "model/base/file.h"
#include "reports/json_fields.h"
#include "reports/shared_fields.h"

namespace stepscope {

namespace {

constexpr std::array<std::pair<Outcome, std::string_view>, 11> outcome_names{{{Outcome::planned, "planned"},
                                                                              {Outcome::ok, "ok"},
                                                                              {Outcome::does_not_fit, "does-not-fit"},
                                                                              {Outcome::out_of_memory, "out-of-memory"},
                                                                              {Outcome::diverged, "diverged"},
                                                                              {Outcome::unverified, "unverified"},
                                                                              {Outcome::unsupported, "unsupported"},
                                                                              {Outcome::crashed, "crashed"},
                                                                              {Outcome::timeout, "timeout"},
                                                                              {Outcome::device_error, "device-error"},
                                                                              {Outcome::skipped, "skipped"}}};

}  // namespace

std::string_view name_of(Outcome outcome) {
  for (const auto& [value, name] : outcome_names) {
    if (value == outcome) return name;
  }
  return "unknown";
}

std::optional<Outcome> outcome_named(std::string_view name) {
  for (const auto& [value, text] : outcome_names) {
    if (text == name) return value;
  }
  return std::nullopt;
}

template <>
void read(const nlohmann::ordered_json& json, Outcome& outcome, const Place& place) {
  const auto known = json.is_string() ? outcome_named(json.get<std::string>()) : std::nullopt;
  if (!known) wrong(place, json, "an outcome (ok, does-not-fit, crashed ...)");
  outcome = *known;
}

void fields(auto& field, Of<Device> auto& device) {
  field("kind", device.kind);
  field("name", device.name);
}
void fields(auto& field, Of<StepTime> auto& time) {
  field("median", time.median);
  field("low", time.low);
  field("high", time.high);
  field("visits", time.visits);
}
void fields(auto& field, Of<HostBytes> auto& host) {
  field("state", host.state);
  field("arena", host.arena);
  field("used", host.used);
  field("copied_to", host.copied_to);
  field("copied_from", host.copied_from);
}
void fields(auto& field, Of<Bytes> auto& bytes) {
  field("state", bytes.state);
  field("largest_live", bytes.largest_live);
  field("arena", bytes.arena);
  field("workspace", bytes.workspace);
  field("predicted_peak", bytes.predicted_peak);
  field("used_peak", bytes.used_peak);
  field("by_category", bytes.by_category);
  field("host", bytes.host);
}
void fields(auto& field, Of<Flops> auto& flops) {
  field("model", flops.model);
  field("launched", flops.launched);
  field("recomputed", flops.recomputed);
}
void fields(auto& field, Of<Numerics> auto& numerics) {
  field("loss", numerics.loss);
  field("reference", numerics.reference);
  field("loss_error", numerics.loss_error);
  field("gradient_error", numerics.gradient_error);
  field("loss_limit", numerics.loss_limit);
  field("gradient_limit", numerics.gradient_limit);
  field("arithmetic", numerics.arithmetic);
  field("not_computed", numerics.not_computed);
}
void fields(auto& field, Of<Peak> auto& peak) {
  field("flops_per_second", peak.flops_per_second);
  field("source", peak.source);
}
void fields(auto& field, Of<PredictedTime> auto& time) {
  field("step_ns", time.step_ns);
  field("card", time.card);
  field("source", time.source);
  field("measured_share", time.measured_share);
  field("copy_wait_ns", time.copy_wait_ns);
}
void fields(auto& field, Of<BudgetRecord> auto& budget) {
  field("limit_bytes", budget.limit_bytes);
  field("logits_chunks", budget.logits_chunks);
  field("times_of", budget.times_of);
  field("repeated", budget.repeated);
}
void fields(auto& field, Of<Record> auto& record) {
  field("id", record.id);
  field("position", record.position);
  field("axes", record.axes);
  field("outcome", record.outcome);
  field("reason", record.reason);
  field("repeat", record.repeat);
  field("device", record.device);
  field("parameters", record.parameters);
  field("tokens_per_step", record.tokens_per_step);
  field("step_time_ns", record.step_time_ns);
  field("tokens_per_second", record.tokens_per_second);
  field("bytes", record.bytes);
  field("flops", record.flops);
  field("mfu", record.mfu);
  field("hfu", record.hfu);
  field("peak", record.peak);
  field("numerics", record.numerics);
  field("loss_scaling", record.loss_scaling);
  field("profiler_overhead", record.profiler_overhead);
  field("profiler_overhead_low", record.profiler_overhead_low);
  field("profiler_overhead_high", record.profiler_overhead_high);
  field("predicted_time", record.predicted_time);
  field("budget", record.budget);
  field("failed_visits", record.failed_visits);
  field("disturbed_visits", record.disturbed_visits);
}

nlohmann::ordered_json to_json(const Record& record) {
  nlohmann::ordered_json json{{"schema", record_schema}};
  json.update(written(record));
  return json;
}

Record record_from_json(const nlohmann::ordered_json& json, const std::string& file) {
  require_schema(json, record_schema, file);
  Record record;
  read(json, record, Place{file, ""});
  if (!record.axes.is_object()) wrong({file, "axes"}, record.axes, "an object {name: value}");
  if (record.step_time_ns && record.step_time_ns->visits > 0 && !(record.step_time_ns->median > 0))
    wrong({file, "step_time_ns.median"}, json.at("step_time_ns"), "a time above 0");
  return record;
}

Record read_record(const std::filesystem::path& file) {
  return record_from_json(parse_json_file(file.string()), file.string());
}

void write_record(const std::filesystem::path& file, const Record& record) {
  write_atomically(file, to_json(record).dump(2) + "\n");
}

bool verified(const Record& record) {
  const Numerics& numerics = record.numerics;
  return record.outcome == Outcome::ok && !numerics.not_computed &&
         (numerics.reference == record.id || numerics.gradient_error.has_value());
}

bool may_show_time(const Record& record) {
  const bool only_costed = record.device.kind == "simulated" && record.numerics.not_computed.has_value();
  return verified(record) || (record.outcome == Outcome::ok && only_costed);
}

void mark_unverified(Record& record, std::string reason) {
  record.outcome = Outcome::unverified;
  record.reason = std::move(reason);
  record.step_time_ns.reset();
  record.tokens_per_second.reset();
  record.mfu.reset();
  record.hfu.reset();
  for (auto* share : {&record.profiler_overhead, &record.profiler_overhead_low, &record.profiler_overhead_high})
    share->reset();
}

}  // namespace stepscope
