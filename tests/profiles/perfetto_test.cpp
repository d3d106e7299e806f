// A trace file says what the trace says: to the nanosecond and to the byte, in the words that its readers look for.
#include "profiles/perfetto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <regex>

#include "harness/matrix.h"
#include "harness/planned.h"
#include "model/base/error.h"
#include "model/cpu/machine.h"
#include "profiles/attribution.h"
#include "profiles/ledger.h"
#include "profiles/planned_trace.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/trace_file.h"

namespace stepscope {
namespace {

using testing::events_of;
using ::testing::HasSubstr;
using testing::nanoseconds_of;
using testing::OperationSum;

PlannedCell planned() {
  const Assignments sets =
      overrides_of({"precision=bf16", "checkpointing=TransformerBlock", "accumulation=2"}, "tiny", "");
  return plan_cell(matrix_of(sets).cells.front(), this_cpu(1), {});
}

// Three steps, hours after the first one began, with gaps and times of all sizes, 0 among them.
Trace irregular_trace(const Program& program) {
  std::mt19937_64 random(3);
  const auto some = [&](std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(0, most)(random); };
  Trace trace;
  std::int64_t now = 0;
  for (int step = 0; step < 3; ++step) {
    const std::int64_t begin = now;
    const auto run = [&](Section section, int micro_step) {
      for (std::size_t i = 0; i < program.operations.size(); ++i) {
        if (program.operations[i].section != section) continue;
        now += some(900);
        const std::int64_t end = now + some(i % 3 == 0 ? 2'000'000'000 : 1500);
        trace.spans.push_back({static_cast<int>(i), micro_step, step, now, end});
        now = end;
      }
    };
    run(Section::prologue, 0);
    for (int m = 0; m < program.micro_steps; ++m) run(Section::micro, m);
    run(Section::update, 0);
    now += some(900);
    trace.steps.push_back({begin, now});
    now += 5'000'000'000'001;
  }
  return trace;
}

class TraceFile : public TemporaryFolder {
 protected:
  nlohmann::json written(const Trace& trace, const TraceDescription& description = {}) {
    write_trace(folder / "trace.json.gz", cell.step.program, cell.step.plan, trace, description);
    return testing::read_trace(folder / "trace.json.gz");
  }
  PlannedCell cell = planned();
  const Program& program = cell.step.program;
  const MemoryPlan& plan = cell.step.plan;
};

TEST_F(TraceFile, sums_are_those_of_the_attribution) {
  const Trace trace = irregular_trace(program);
  const nlohmann::json file = written(trace);
  const auto sums = testing::operation_sums(file);
  std::size_t rows = 0;
  for (const AttributedTime& row : attribute(program, trace)) {
    if (row.phase == "between") continue;
    ++rows;
    const auto found = sums.find({row.phase, row.site, row.operation});
    ASSERT_NE(found, sums.end()) << row.site;
    const OperationSum& sum = found->second;
    EXPECT_EQ(static_cast<double>(sum.time_ns) / 3, row.time_ns) << row.site;
    EXPECT_EQ(sum.count, 3 * row.count);
    EXPECT_EQ(sum.flops, 3 * row.flops);
    EXPECT_EQ(sum.bytes, 3 * row.bytes);
  }
  EXPECT_EQ(rows, sums.size());
}

TEST_F(TraceFile, every_boundary_is_kept_to_the_nanosecond) {
  const Trace trace = irregular_trace(program);
  const nlohmann::json file = written(trace, {.first_step = 5});
  const auto operations = events_of(file, "operation");
  std::multiset<std::pair<std::int64_t, std::int64_t>> there, here;
  for (const nlohmann::json& event : operations)
    there.emplace(nanoseconds_of(event.at("ts")), nanoseconds_of(event.at("dur")));
  for (const Span& span : trace.spans) here.emplace(span.begin_ns, span.end_ns - span.begin_ns);
  EXPECT_EQ(there, here);
  std::vector<nlohmann::json> steps = events_of(file, "step");
  std::erase_if(steps,
                [](const nlohmann::json& event) { return event.at("name").get<std::string>().starts_with("micro"); });
  ASSERT_EQ(steps.size(), 3U);
  for (std::size_t s = 0; s < 3; ++s) {
    EXPECT_EQ(steps[s].at("name"), "ProfilerStep#" + std::to_string(5 + s));
    EXPECT_EQ(nanoseconds_of(steps[s].at("ts")), trace.steps[s].begin_ns);
    EXPECT_EQ(nanoseconds_of(steps[s].at("dur")), trace.steps[s].end_ns - trace.steps[s].begin_ns);
  }
}

TEST_F(TraceFile, ranges_of_a_track_lie_within_each_other_or_apart) {
  const nlohmann::json file = written(irregular_trace(program));
  for (const char* track : {"step", "phase", "layer", "operation"}) {
    std::vector<std::int64_t> open_ends;
    for (const nlohmann::json& event : events_of(file, track)) {
      const std::int64_t begin = nanoseconds_of(event.at("ts")), end = begin + nanoseconds_of(event.at("dur"));
      while (!open_ends.empty() && open_ends.back() <= begin) open_ends.pop_back();
      if (!open_ends.empty()) {
        ASSERT_LE(end, open_ends.back()) << track << event;
      }
      if (end > begin) open_ends.push_back(end);
    }
  }
  EXPECT_EQ(events_of(file, "operation").size(), 3U * (program.operations.size() + [&] {
                                                   std::size_t repeated = 0;
                                                   for (const Operation& op : program.operations)
                                                     repeated += op.section == Section::micro;
                                                   return repeated;
                                                 }()));
  for (const nlohmann::json& event : events_of(file, "layer"))
    EXPECT_EQ(event.at("name"), event.at("args").at("layer"));
}

TEST_F(TraceFile, the_counter_is_the_plan_at_every_operation) {
  const Trace trace = irregular_trace(program);
  const nlohmann::json file = written(trace);
  std::vector<const nlohmann::json*> counters;
  for (const nlohmann::json& event : file.at("traceEvents"))
    if (event.at("ph") == "C") counters.push_back(&event);
  ASSERT_EQ(counters.size(), trace.spans.size() + trace.steps.size());
  const std::vector<std::int64_t> timeline = plan.timeline(program);
  std::size_t at = 0, step = 0, peaks = 0;
  for (const Span& span : trace.spans) {
    if (span.step != static_cast<int>(step)) ++step, ++at;  // past the one at the step's end
    const nlohmann::json& counter = *counters[at++];
    EXPECT_EQ(nanoseconds_of(counter.at("ts")), span.begin_ns);
    std::int64_t sum = 0;
    for (const auto& [category, bytes] : counter.at("args").items()) sum += bytes.get<std::int64_t>();
    EXPECT_EQ(sum, state_bytes(program).total() + plan.arena_bytes);
    const std::int64_t idle = counter.at("args").at("idle arena");
    EXPECT_EQ(plan.arena_bytes - idle, timeline[static_cast<std::size_t>(span.operation)]) << span.operation;
    if (span.operation != plan.fullest) continue;
    ++peaks;
    for (const auto& [category, bytes] : ledger_of(program, plan).by_category)
      EXPECT_EQ(counter.at("args").at(category), bytes) << category;
  }
  EXPECT_EQ(peaks, 6U);  // three steps of two micro-steps
  EXPECT_EQ(counters.back()->at("args").at("idle arena"), plan.arena_bytes);
}

TEST_F(TraceFile, has_the_words_that_its_readers_look_for) {
  const nlohmann::json file =
      written(irregular_trace(program), {.cell = "a \"b\"", .device = "x", .times = "measured"});
  EXPECT_TRUE(std::regex_search(testing::text_of_gzip(folder / "trace.json.gz"), std::regex("\"rank\":\\s+(\\d+)")));
  EXPECT_EQ(file.at("otherData").at("cell"), "a \"b\"");
  EXPECT_EQ(file.at("otherData").at("times"), "measured");
  for (const nlohmann::json& event : file.at("traceEvents")) {
    EXPECT_TRUE(event.at("pid").is_number_integer());
    if (event.at("ph") != "X") continue;
    EXPECT_TRUE(event.at("tid").is_number_integer());
    EXPECT_THAT((std::set<std::string>{"cpu_op", "user_annotation"}), ::testing::Contains(event.at("cat")));
  }
}

TEST_F(TraceFile, of_nothing_is_a_whole_file) {
  EXPECT_TRUE(events_of(written({}), "operation").empty());
  EXPECT_THROW(write_trace(folder / "missing" / "t.gz", program, plan, {}, {}), MachineError);
}

TEST_F(TraceFile, of_a_plan_takes_the_cards_times_and_says_so) {
  const Card card{.name = "h-1", .fp32_flops = 3e11, .bf16_flops = 6e11, .bandwidth = 2e10};
  write_planned_trace(folder / "plan.json.gz", cell, card);
  const nlohmann::json file = testing::read_trace(folder / "plan.json.gz");
  EXPECT_THAT(file.at("otherData").at("times").get<std::string>(), HasSubstr("planned, nothing ran"));
  EXPECT_EQ(file.at("otherData").at("device"), "h-1");
  const OperationTimes times = roofline_times(program, card);
  const nlohmann::json step = events_of(file, "step").front();
  EXPECT_NEAR(static_cast<double>(nanoseconds_of(step.at("dur"))), step_time_ns(program, times), 0.5 + 1e-6);
  std::map<std::string, double> by_name;
  std::map<std::string, std::int64_t> runs;
  for (std::size_t i = 0; i < times.size(); ++i) {
    const int repeats = program.operations[i].section == Section::micro ? program.micro_steps : 1;
    by_name[std::string(program.operations[i].kind->name)] += repeats * times[i];
    runs[std::string(program.operations[i].kind->name)] += repeats;
  }
  std::map<std::string, std::int64_t> in_file;
  for (const auto& [key, sum] : testing::operation_sums(file)) in_file[std::get<2>(key)] += sum.time_ns;
  for (const auto& [name, ns] : by_name)
    EXPECT_NEAR(static_cast<double>(in_file[name]), ns, static_cast<double>(runs[name])) << name;  // a rounding a run
}

}  // namespace
}  // namespace stepscope
