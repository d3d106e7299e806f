#include "profiles/perfetto_device.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "model/program/operation.h"

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

constexpr int first_card_process = 1000;

const char* category_of(WorkKind kind) {  // as Kineto calls them
  switch (kind) {
    case WorkKind::kernel: return "kernel";
    case WorkKind::copy: return "gpu_memcpy";
    case WorkKind::set: return "gpu_memset";
  }
  return "kernel";
}

class DeviceWriter {
 public:
  DeviceWriter(const Program& program, const Trace& trace, const DeviceTracks& tracks)
      : program_(program), trace_(trace), tracks_(tracks) {}

  void write() {
    add_names();
    for (const DeviceCall& call : trace_.calls) {
      add(complete(call.name.starts_with("cuda") ? "cuda_runtime" : "cuda_driver", call.name, tracks_.host_process,
                   track_of_thread(call.thread), call.begin_ns, call.end_ns, {{"correlation", call.correlation}}));
      call_of_.emplace(call.correlation, &call);
    }
    for (const DeviceSpan& span : trace_.device) add_work(span);
    for (const DeviceOverhead& overhead : trace_.overheads)
      add(complete("overhead", overhead.what, tracks_.host_process, tracks_.first_host_track, overhead.begin_ns,
                   overhead.end_ns, {{"profiler", overhead.profiler}}));
  }

 private:
  static Json event(const char* phase, const std::string& name, int process, std::uint32_t track) {
    return {{"ph", phase}, {"name", name}, {"pid", process}, {"tid", track}};
  }
  [[nodiscard]] double microseconds(std::int64_t ns) const { return static_cast<double>(ns + tracks_.shift_ns) / 1000; }
  void add(const Json& json) const { tracks_.add(json.dump(-1, ' ', false, Json::error_handler_t::replace)); }

  [[nodiscard]] Json complete(const char* category, const std::string& name, int process, std::uint32_t track,
                              std::int64_t begin_ns, std::int64_t end_ns, Json arguments) const {
    Json json = event("X", name, process, track);
    json["cat"] = category;
    json["ts"] = microseconds(begin_ns);
    json["dur"] = static_cast<double>(end_ns - begin_ns) / 1000;
    json["args"] = std::move(arguments);
    return json;
  }

  static int process_of(const DeviceWork& work) { return first_card_process + static_cast<int>(work.device); }
  std::uint32_t track_of_thread(std::uint32_t thread) {  // threads' own numbers are those of the system
    const auto next =
        static_cast<std::uint32_t>(tracks_.first_host_track) + 1 + static_cast<std::uint32_t>(track_of_thread_.size());
    return track_of_thread_.emplace(thread, next).first->second;
  }

  void name(const char* what, int process, std::uint32_t track, const std::string& text) const {
    Json json = event("M", what, process, track);
    json["args"] = {{"name", text}};
    add(json);
  }
  void add_names() {
    std::set<int> cards;
    std::set<std::pair<int, std::uint32_t>> streams;
    for (const DeviceSpan& span : trace_.device) {
      const int process = process_of(span.work);
      if (cards.insert(process).second) name("process_name", process, 0, "card " + std::to_string(span.work.device));
      if (streams.emplace(process, span.work.stream).second)
        name("thread_name", process, span.work.stream, "stream " + std::to_string(span.work.stream));
    }
    for (const DeviceCall& call : trace_.calls)
      if (!track_of_thread_.contains(call.thread))
        name("thread_name", tracks_.host_process, track_of_thread(call.thread),
             "calls of thread " + std::to_string(call.thread));
    if (!trace_.overheads.empty())
      name("thread_name", tracks_.host_process, static_cast<std::uint32_t>(tracks_.first_host_track),
           "profiler and driver");
  }

  void add_work(const DeviceSpan& span) {
    const DeviceWork& work = span.work;
    Json arguments{{"device", work.device}, {"stream", work.stream}, {"correlation", work.correlation}};
    if (span.owner.operation >= 0) {
      const Operation& op = program_.operations[static_cast<std::size_t>(span.owner.operation)];
      arguments["phase"] = name_of(op.phase);
      arguments["layer"] = program_.site(op.site).path;
      arguments["operation"] = op.kind->name;
      arguments["micro_step"] = span.owner.micro_step;
    } else {
      arguments["phase"] = span.owner.step >= 0 ? "between" : "outside";
      arguments["layer"] = "";
      arguments["operation"] = span.remainder;
    }
    if (work.bytes) arguments["bytes"] = *work.bytes;
    add(complete(category_of(work.kind), work.name, process_of(work), work.stream, work.begin_ns, work.end_ns,
                 std::move(arguments)));
    const auto call = call_of_.find(work.correlation);
    if (call == call_of_.end()) return;
    add_arrow(*call->second, work);
    call_of_.erase(call);
  }

  void add_arrow(const DeviceCall& call, const DeviceWork& work) {
    Json from = event("s", "launch", tracks_.host_process, track_of_thread(call.thread)),
         to = event("f", "launch", process_of(work), work.stream);
    from["ts"] = microseconds(call.begin_ns);
    to["ts"] = microseconds(work.begin_ns);
    to["bp"] = "e";
    for (Json* end : {&from, &to}) {
      (*end)["cat"] = "ac2g";  // as Kineto has it: asynchronous call to GPU
      (*end)["id"] = work.correlation;
      add(*end);
    }
  }

  const Program& program_;
  const Trace& trace_;
  const DeviceTracks& tracks_;
  std::map<std::uint32_t, std::uint32_t> track_of_thread_;
  std::map<std::uint32_t, const DeviceCall*> call_of_;  // whose arrow is still to come
};

}  // namespace

void add_device_tracks(const Program& program, const Trace& trace, const DeviceTracks& tracks) {
  DeviceWriter(program, trace, tracks).write();
}

}  // namespace stepscope
