#include "profiles/perfetto.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "model/base/error.h"
#include "model/base/file.h"
#include "profiles/ledger.h"
#include "profiles/nesting.h"
#include "profiles/perfetto_device.h"

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;
using Level = NestedRange::Level;

constexpr int process = 1;  // of the trace: a number, as its readers want it
enum Track : int { steps = 1, phases, layers, operations };
constexpr std::array<const char*, 4> track_names{"step", "phase", "layer", "operation"};

// Some viewers know no times below 0: a card's work may lie before the first step.
std::int64_t begin_of(const Trace& trace) {
  std::int64_t begin_ns = 0;
  for (const DeviceSpan& span : trace.device) begin_ns = std::min(begin_ns, span.work.begin_ns);
  for (const DeviceCall& call : trace.calls) begin_ns = std::min(begin_ns, call.begin_ns);
  for (const DeviceOverhead& overhead : trace.overheads) begin_ns = std::min(begin_ns, overhead.begin_ns);
  return begin_ns;
}

Track track_of(Level level) {
  switch (level) {
    case Level::step:
    case Level::micro_step: return steps;
    case Level::phase: return phases;
    case Level::layer: return layers;
    case Level::operation: return operations;
  }
  return operations;
}

std::string memory_text(const BytesByCategory& bytes) {
  Json object;
  for (const auto& [category, count] : bytes) object[category] = count;
  return object.dump();
}

class Writer {
 public:
  Writer(const Program& program, const MemoryPlan& plan, const TraceDescription& description)
      : program_(program), nesting_(nesting_of(program)), description_(description) {
    for (std::size_t i = 0; i < program.operations.size(); ++i)
      memory_.push_back(memory_text(bytes_by_category(program, plan, static_cast<int>(i))));
    after_step_ = memory_text(bytes_by_category(program, plan, -1));
  }

  std::string write(const Trace& trace) {
    // HolisticTraceAnalysis finds the rank by a pattern that needs the space.
    text_ = fmt::format(R"({{"displayTimeUnit": "ns", "distributedInfo": {{"rank": 0}}, "otherData": {},
"traceEvents": [)",
                        Json{{"schema", "stepscope.trace/1"},
                             {"cell", description_.cell},
                             {"device", description_.device},
                             {"times", description_.times}}
                            .dump());
    shift_ns_ = -begin_of(trace);
    of_card_ = trace.of_card;
    add_names();
    std::size_t next = 0;
    for (std::size_t s = 0; s < trace.steps.size(); ++s) {
      const StepSpan& step = trace.steps[s];
      add_range(nesting_.ranges.front(), 0, step.begin_ns, step.end_ns,
                fmt::format("ProfilerStep#{}", description_.first_step + static_cast<std::int64_t>(s)));
      for (; next < trace.spans.size() && trace.spans[next].step == static_cast<std::int32_t>(s); ++next)
        add_span(trace.spans[next]);
      add_memory(step.end_ns, after_step_);
    }
    if (trace.of_card)
      add_device_tracks(program_, trace,
                        {.host_process = process,
                         .first_host_track = operations + 1,
                         .shift_ns = shift_ns_,
                         .add = [this](const std::string& event) { add_event(event); }});
    return std::move(text_) + "\n]}\n";
  }

 private:
  void add_event(const std::string& event) {
    text_ += first_ ? "\n" : ",\n";
    text_ += event;
    first_ = false;
  }

  void add_names() {
    const auto name = [&](const char* what, int track, const char* key, const Json& value) {
      add_event(Json{{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", track}, {"args", {{key, value}}}}.dump());
    };
    const std::string title = fmt::format("stepscope {} ({})", description_.cell, description_.times);
    name("process_name", 0, "name", title);
    for (const Track track : {steps, phases, layers, operations}) {
      name("thread_name", track, "name", track_names[static_cast<std::size_t>(track) - 1]);
      name("thread_sort_index", track, "sort_index", track);
    }
  }

  void add_span(const Span& span) {
    const auto i = static_cast<std::size_t>(span.operation);
    for (int r = nesting_.first_opened[i]; r < nesting_.first_opened[i + 1]; ++r)
      open_.push_back({static_cast<std::size_t>(r), span.begin_ns});
    add_memory(span.begin_ns, memory_[i]);
    for (int closed = 0; closed < nesting_.closes_after[i]; ++closed) {
      const NestedRange& range = nesting_.ranges[open_.back().range];
      add_range(range, span.micro_step, open_.back().begin_ns, span.end_ns, name_of_event(range, span));
      open_.pop_back();
    }
  }

  [[nodiscard]] std::string name_of_event(const NestedRange& range, const Span& span) const {
    if (range.level == Level::micro_step) return fmt::format("{} {}", range.name, span.micro_step);
    return range.level == Level::layer ? program_.site(range.site).path : range.name;  // totals by name are by layer
  }

  void add_range(const NestedRange& range, int micro_step, std::int64_t begin_ns, std::int64_t end_ns,
                 const std::string& name) {
    Json arguments;
    if (range.level != Level::step) arguments["micro_step"] = micro_step;
    if (range.level == Level::operation || range.level == Level::layer) {
      arguments["phase"] = name_of(range.phase);
      arguments["layer"] = program_.site(range.site).path;
    }
    arguments["flops"] = range.flops;
    arguments["bytes"] = range.bytes(micro_step);
    add_event(Json{{"ph", "X"},
                   {"cat", category_of(range.level)},
                   {"name", name},
                   {"pid", process},
                   {"tid", static_cast<int>(track_of(range.level))},
                   {"ts", microseconds(begin_ns)},
                   {"dur", static_cast<double>(end_ns - begin_ns) / 1000},
                   {"args", arguments}}
                  .dump());
  }

  // In a card's trace what is below a step is seen through the card's work.
  [[nodiscard]] const char* category_of(Level level) const {
    if (of_card_ && level != Level::step) return "gpu_user_annotation";
    return level == Level::operation ? "cpu_op" : "user_annotation";
  }
  [[nodiscard]] double microseconds(std::int64_t ns) const { return static_cast<double>(ns + shift_ns_) / 1000; }

  void add_memory(std::int64_t at_ns, const std::string& bytes) {
    add_event(fmt::format(R"({{"ph":"C","name":"memory","pid":{},"ts":{},"args":{}}})", process,
                          Json(microseconds(at_ns)).dump(), bytes));
  }

  struct Open {
    std::size_t range;
    std::int64_t begin_ns;
  };

  const Program& program_;
  const Nesting nesting_;
  const TraceDescription& description_;
  std::vector<std::string> memory_;  // by operation
  std::string after_step_;
  std::vector<Open> open_;
  std::string text_;
  bool first_ = true, of_card_ = false;
  std::int64_t shift_ns_ = 0;
};

std::string gzipped(const std::string& text) {
  z_stream stream{};
  constexpr int gzip_window = 15 + 16, memory_level = 8;  // zlib's defaults, with a gzip header
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
    throw MachineError("no memory to compress a trace");
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int end = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (end != Z_STREAM_END) throw MachineError(fmt::format("a trace of {} bytes cannot be compressed", text.size()));
  return packed;
}

}  // namespace

std::string trace_json(const Program& program, const MemoryPlan& plan, const Trace& trace,
                       const TraceDescription& description) {
  return Writer(program, plan, description).write(trace);
}

void write_trace(const std::filesystem::path& file, const Program& program, const MemoryPlan& plan, const Trace& trace,
                 const TraceDescription& description) {
  write_atomically(file, gzipped(trace_json(program, plan, trace, description)));
}

}  // namespace stepscope
