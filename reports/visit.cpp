#include "reports/visit.h"

#include "model/base/file.h"
#include "reports/json_fields.h"
#include "reports/shared_fields.h"

namespace stepscope {

std::string_view name_of(VisitKind kind) {
  switch (kind) {
    case VisitKind::timed: return "timed";
    case VisitKind::profiled: return "profiled";
    case VisitKind::learning: return "learning";
  }
  return "unknown";
}

std::optional<VisitKind> visit_kind_named(std::string_view name) {
  for (const VisitKind kind : {VisitKind::timed, VisitKind::profiled, VisitKind::learning}) {
    if (name_of(kind) == name) return kind;
  }
  return std::nullopt;
}

template <>
void read(const nlohmann::ordered_json& json, VisitKind& kind, const Place& place) {
  const auto known = json.is_string() ? visit_kind_named(json.get<std::string>()) : std::nullopt;
  if (!known) wrong(place, json, "timed, profiled or learning");
  kind = *known;
}
template <>
void read(const nlohmann::ordered_json& json, Outcome& outcome, const Place& place);  // record.cpp

void fields(auto& field, Of<GradientSummary> auto& gradient) {
  field("parameter", gradient.parameter);
  field("norm", gradient.norm);
  field("sum", gradient.sum);
  field("hash", gradient.hash);
}
void fields(auto& field, Of<VisitNumerics> auto& numerics) {
  field("loss", numerics.loss);
  field("gradients", numerics.gradients);
  field("gradient_error", numerics.gradient_error);
  field("arithmetic", numerics.arithmetic);
  field("not_computed", numerics.not_computed);
}
void fields(auto& field, Of<SpanSum> auto& span) {
  field("phase", span.phase);
  field("site", span.site);
  field("operation", span.operation);
  field("count", span.count);
  field("time_ns", span.time_ns);
  field("flops", span.flops);
  field("bytes", span.bytes);
}
void fields(auto& field, Of<KernelSum> auto& kernel) {
  field("name", kernel.name);
  field("phase", kernel.phase);
  field("site", kernel.site);
  field("operation", kernel.operation);
  field("count", kernel.count);
  field("time_ns", kernel.time_ns);
  field("flops", kernel.flops);
  field("bytes", kernel.bytes);
}
void fields(auto& field, Of<TimeSum> auto& sum) {
  field("name", sum.name);
  field("count", sum.count);
  field("time_ns", sum.time_ns);
}
void fields(auto& field, Of<ProfilerAccount> auto& account) {
  field("method", account.method);
  field("untraced_step_time_ns", account.untraced_step_time_ns);
  field("device_ns", account.device_ns);
  field("operations_ns", account.operations_ns);
  field("remainders", account.remainders);
  field("outside", account.outside);
  field("overheads", account.overheads);
  field("dropped_records", account.dropped_records);
  field("untimed_records", account.untimed_records);
  field("unread_bytes", account.unread_bytes);
  field("other_records", account.other_records);
}
void fields(auto& field, Of<TimedWork> auto& row) {
  field("operation", row.work.operation);
  field("operands", row.work.operands);
  field("phase", row.work.phase);
  field("flops", row.work.flops);
  field("bytes", row.work.bytes);
  field("count", row.count);
  field("time_ns", row.time_ns);
}
void fields(auto& field, Of<LiveValue> auto& value) {
  field("name", value.name);
  field("shape", value.shape);
  field("dtype", value.dtype);
  field("owner", value.owner);
  field("bytes", value.bytes);
  field("born", value.born);
  field("dies", value.dies);
}
void fields(auto& field, Of<PhaseStart> auto& start) {
  field("phase", start.phase);
  field("operation", start.operation);
}
void fields(auto& field, Of<MemoryTimeline> auto& memory) {
  field("live_bytes", memory.live_bytes);
  field("phases", memory.phases);
  field("peak_operation", memory.peak_operation);
  field("live_at_peak", memory.live_at_peak);
}
void fields(auto& field, Of<LossPoint> auto& point) {
  field("step", point.step);
  field("tokens_seen", point.tokens_seen);
  field("elapsed_ns", point.elapsed_ns);
  field("loss", point.loss);
}
void fields(auto& field, Of<Disturbance> auto& disturbance) {
  field("load_average", disturbance.load_average);
  field("steal_fraction", disturbance.steal_fraction);
  field("disturbed", disturbance.disturbed);
  field("reason", disturbance.reason);
}
void fields(auto& field, Of<Visit> auto& visit) {
  field("cell", visit.cell);
  field("round", visit.round);
  field("kind", visit.kind);
  field("outcome", visit.outcome);
  field("reason", visit.reason);
  field("started_ns", visit.started_ns);
  field("ended_ns", visit.ended_ns);
  field("warmup_steps", visit.warmup_steps);
  field("step_time_ns", visit.step_time_ns);
  field("predicted_bytes", visit.predicted_bytes);
  field("arena_used_bytes", visit.arena_used_bytes);
  field("used_by_category", visit.used_by_category);
  field("host_used_bytes", visit.host_used_bytes);
  field("device_reports_bytes", visit.device_reports_bytes);
  field("numerics", visit.numerics);
  field("loss_scaling", visit.loss_scaling);
  field("spans", visit.spans);
  field("kernels", visit.kernels);
  field("profiler", visit.profiler);
  field("device_memory", visit.device_memory);
  field("operations", visit.operations);
  field("memory", visit.memory);
  field("losses", visit.losses);
  field("validation_losses", visit.validation_losses);
  field("disturbance", visit.disturbance);
}

nlohmann::ordered_json to_json(const Visit& visit) {
  nlohmann::ordered_json json{{"schema", visit_schema}};
  json.update(written(visit));
  return json;
}

Visit visit_from_json(const nlohmann::ordered_json& json, const std::string& file) {
  require_schema(json, visit_schema, file);
  Visit visit;
  const Place place{file, ""};
  read(json, visit, place);
  for (const double time : visit.step_time_ns)
    if (!(time > 0)) wrong(place.in("step_time_ns"), json.at("step_time_ns"), "times above 0");
  if (visit.round < 0) wrong(place.in("round"), json.at("round"), "0 or more");
  if (visit.host_used_bytes.value_or(0) < 0)
    wrong(place.in("host_used_bytes"), json.at("host_used_bytes"), "0 or more");
  return visit;
}

Visit read_visit(const std::filesystem::path& file) {
  return visit_from_json(parse_json_file(file.string()), file.string());
}

void write_visit(const std::filesystem::path& file, const Visit& visit) {
  write_atomically(file, to_json(visit).dump(1) + "\n");
}

}  // namespace stepscope
