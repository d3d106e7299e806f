// Whatever order a card's records come in, each microsecond ends where it belongs, or under a name that says why not.
#include "profiles/device_trace.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/program/cost.h"
#include "model/program/memory_plan.h"
#include "model/program/operation.h"
#include "profiles/attribution.h"
#include "profiles/device_account.h"
#include "profiles/perfetto.h"
#include "tests/support/fake_capture.h"
#include "tests/support/made_records.h"
#include "tests/support/programs.h"
#include "tests/support/trace_file.h"

namespace stepscope {
namespace {

using testing::FakeCapture;
using testing::MadeRecords;
using testing::RecordSetting;

class DeviceTrace : public ::testing::Test {
 protected:
  [[nodiscard]] Trace traced(const MadeRecords& made, DeviceActivity activity) const {
    return device_trace(program, made.steps, std::move(activity));
  }

  // Rows of operations and of names between, against what the generator knows; what closes the step is left to the caller.
  void expect_rows(const MadeRecords& made, const Trace& trace) const {
    auto expected = made.expected_ns;
    const auto steps = static_cast<double>(made.steps.size());
    double sum_ns = 0, total_ns = 0;
    for (const StepSpan& step : trace.steps) total_ns += static_cast<double>(step.end_ns - step.begin_ns) / steps;
    for (const AttributedTime& row : attribute(program, trace)) {
      sum_ns += row.time_ns;
      if (row.operation == "gaps" || row.operation == "overlap") continue;
      EXPECT_EQ(row.time_ns, static_cast<double>(expected[{row.phase, row.site, row.operation}]) / steps)
          << row.phase << " " << row.site << " " << row.operation;
      expected.erase({row.phase, row.site, row.operation});
    }
    for (const auto& [place, ns] : expected) EXPECT_EQ(ns, 0) << std::get<1>(place) << std::get<2>(place);
    EXPECT_NEAR(sum_ns, total_ns, 1e-9 * total_ns);
  }

  // By marking every nanosecond's ends: the union of a step's work.
  static double busy_ns(const MadeRecords& made) {
    std::int64_t sum = 0;
    for (std::vector<std::pair<std::int64_t, std::int64_t>> spans : made.busy) {
      std::vector<std::pair<std::int64_t, int>> ends;
      for (const auto& [begin, end] : spans) ends.insert(ends.end(), {{begin, 1}, {end, -1}});
      std::sort(ends.begin(), ends.end());
      int open = 0;
      for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
        open += ends[i].second;
        if (open > 0) sum += ends[i + 1].first - ends[i].first;
      }
    }
    return static_cast<double>(sum) / static_cast<double>(made.busy.size());
  }

  const Program program = testing::step_of({"tiny", "bf16", std::string("TransformerBlock"), 3});
};

// An executor that only tells the time.
class Clock final : public Executor {
 public:
  void initialise(std::uint64_t) override {}
  void write(StateId, std::span<const std::byte>) override {}
  void read(StateId, std::span<std::byte>) const override {}
  void read(ValueId, std::span<std::byte>) const override {}
  ControlBlock& control() override { return control_; }
  void step(double) override {}
  void observe(Observer*) override {}
  UsedBytes measure_used_bytes(double) override { return {}; }

 private:
  ControlBlock control_;
};

double row_named(const std::vector<AttributedTime>& rows, const std::string& operation) {
  for (const AttributedTime& row : rows)
    if (row.operation == operation) return row.time_ns;
  return 0;
}

TEST_F(DeviceTrace, of_launches_finds_every_owner_in_any_order_of_records) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const MadeRecords made(program, {.steps = 3, .seed = seed});
    for (const std::uint64_t order : {1, 2}) expect_rows(made, traced(made, made.activity(order)));
  }
}

TEST_F(DeviceTrace, of_replayed_graphs_goes_by_node_and_launch) {
  const MadeRecords made(program, {.steps = 3, .graphs = true, .seed = 4});
  const Trace trace = traced(made, made.activity(9));
  expect_rows(made, trace);
  for (const DeviceSpan& span : trace.device) {  // each micro-step its own replay
    if (span.owner.operation < 0) continue;
    const Section section = program.operations[static_cast<std::size_t>(span.owner.operation)].section;
    EXPECT_TRUE(section == Section::micro || span.owner.micro_step == 0);
  }
  const auto of_micro_step = [&](int m) {
    return std::count_if(trace.device.begin(), trace.device.end(),
                         [&](const DeviceSpan& s) { return s.owner.operation >= 0 && s.owner.micro_step == m; });
  };
  EXPECT_GT(of_micro_step(0), of_micro_step(1));
  EXPECT_EQ(of_micro_step(1), of_micro_step(2));
}

TEST_F(DeviceTrace, a_second_stream_beside_the_first_is_counted_and_its_overlap_told) {
  for (const bool graphs : {false, true}) {
    const MadeRecords made(program, {.steps = 2, .graphs = graphs, .two_streams = true, .seed = 5});
    const Trace trace = traced(made, made.activity(3));
    expect_rows(made, trace);
    const std::vector<AttributedTime> rows = attribute(program, trace);
    double sum_ns = 0;
    for (const auto& [place, ns] : made.expected_ns) sum_ns += static_cast<double>(ns) / 2;
    EXPECT_EQ(row_named(rows, "overlap"), busy_ns(made) - sum_ns);
    EXPECT_LT(row_named(rows, "overlap"), 0);
    EXPECT_EQ(rows.back().operation, "gaps");
    EXPECT_GE(rows.back().time_ns, 0);
  }
}

TEST_F(DeviceTrace, what_nobody_owns_is_told_as_such_to_the_nanosecond) {
  const MadeRecords made(program, {.steps = 2, .unowned = 0.1, .seed = 6});
  const Trace trace = traced(made, made.activity(4));
  expect_rows(made, trace);
  EXPECT_GT(made.unowned_ns, 0);
  EXPECT_EQ(row_named(attribute(program, trace), "unknown"), static_cast<double>(made.unowned_ns) / 2);
  const DeviceAccount account = account_of(trace);
  std::int64_t remainders_ns = 0, all_ns = 0;
  for (const NamedTime& row : account.remainders) remainders_ns += row.time_ns;
  for (const DeviceSpan& span : trace.device) all_ns += span.work.duration_ns();
  EXPECT_EQ(account.device_ns, all_ns);
  EXPECT_TRUE(account.outside.empty());
  EXPECT_EQ(account.operations_ns + remainders_ns, all_ns);
  EXPECT_EQ(account.remainders.front().name, "unknown");
}

TEST_F(DeviceTrace, work_before_the_steps_that_count_is_outside) {
  const MadeRecords made(program, {.steps = 2, .seed = 13});
  DeviceActivity activity = made.activity();
  const std::int64_t in_steps_ns = account_of(traced(made, activity)).device_ns;
  for (const WorkOwner& owner : {WorkOwner{}, WorkOwner{.set_up = true}, WorkOwner{.operation = 3}}) {
    const auto correlation = static_cast<std::uint32_t>((1 << 30) + activity.work.size());
    DeviceWork early;
    early.end_ns = 5;
    early.correlation = correlation;
    activity.work.push_back(early);
    activity.owner_of_correlation[correlation] = packed(owner);
  }
  const DeviceAccount account = account_of(traced(made, activity));
  EXPECT_EQ(account.device_ns, in_steps_ns);
  ASSERT_EQ(account.outside.size(), 2U);
  EXPECT_EQ(account.outside[0].name, "warm-up");
  EXPECT_EQ(account.outside[0].time_ns, 10);
  EXPECT_EQ(account.outside[1].name, "between steps");
}

TEST_F(DeviceTrace, graph_nodes_that_were_not_seen_are_unknown) {
  const MadeRecords made(program, {.steps = 2, .graphs = true, .seed = 7});
  DeviceActivity activity = made.activity(5);
  const std::uint64_t lost = made.owner_of_node.begin()->first;
  std::int64_t lost_ns = 0;
  for (const DeviceWork& work : activity.work) lost_ns += work.graph_node == lost ? work.duration_ns() : 0;
  activity.owner_of_node.erase(lost);
  EXPECT_EQ(row_named(attribute(program, traced(made, activity)), "unknown"), static_cast<double>(lost_ns) / 2);
}

TEST_F(DeviceTrace, numbers_that_nobody_here_made_own_nothing) {
  const MadeRecords made(program, {.steps = 1, .seed = 8});
  DeviceActivity activity = made.activity();
  std::uint64_t foreign = 3;
  for (auto& [correlation, owner] : activity.owner_of_correlation)
    owner = foreign++ % 2 == 0 ? foreign : packed({.step = 7, .operation = 1 << 20});
  const Trace trace = traced(made, activity);
  for (const DeviceSpan& span : trace.device) EXPECT_EQ(span.remainder, "unknown");
  EXPECT_EQ(account_of(trace).operations_ns, 0);
}

TEST_F(DeviceTrace, unowned_work_of_loading_and_of_the_profiler_has_their_names) {
  MadeRecords made(program, {.steps = 1, .unowned = 1, .seed = 9});
  DeviceActivity activity = made.activity();
  std::vector<DeviceWork*> unowned;
  for (DeviceWork& work : activity.work)
    if (!activity.owner_of_correlation.contains(work.correlation)) unowned.push_back(&work);
  ASSERT_GE(unowned.size(), 3U);
  unowned[0]->end_ns += 100'000;
  const std::int64_t loading_ns = unowned[0]->duration_ns(), profiler_ns = unowned[1]->duration_ns();
  activity.overheads = {{.what = "lazy loading", .begin_ns = 1, .end_ns = 51, .correlation = unowned[0]->correlation},
                        {.what = "profiler: x", .profiler = true, .correlation = unowned[1]->correlation}};
  const Trace trace = traced(made, activity);
  EXPECT_EQ(row_named(attribute(program, trace), "lazy loading"), static_cast<double>(loading_ns));
  EXPECT_EQ(row_named(attribute(program, trace), "profiler"), static_cast<double>(profiler_ns));
  EXPECT_EQ(account_of(trace).overheads.front().time_ns, 50);
}

TEST_F(DeviceTrace, work_and_kernels_are_those_of_the_program) {
  const MadeRecords made(program, {.steps = 3, .graphs = true, .seed = 10});
  const Trace trace = traced(made, made.activity());
  std::int64_t flops = 0;
  double rows_ns = 0, kernels_ns = 0;
  for (const AttributedTime& row : attribute(program, trace)) {
    flops += row.flops;
    if (row.operation != "gaps" && row.operation != "overlap") rows_ns += row.time_ns;
  }
  EXPECT_EQ(flops, step_flops(program).launched);
  for (const KernelTime& row : kernel_times(program, trace)) kernels_ns += row.time_ns;
  EXPECT_NEAR(kernels_ns, rows_ns, 1e-9 * rows_ns);
  double by_work_ns = 0, control_ns = 70;
  for (const TimedWork& row : time_by_work(program, trace)) by_work_ns += row.time_ns;
  EXPECT_NEAR(by_work_ns + control_ns, rows_ns, 1e-9 * rows_ns);
}

TEST_F(DeviceTrace, operations_lie_behind_each_other_as_the_program_has_them) {
  const MadeRecords made(program, {.steps = 2, .two_streams = true, .seed = 11});
  const Trace trace = traced(made, made.activity());
  std::int64_t until = 0;
  std::size_t runs = 0;
  for (const Span& span : trace.spans) {
    EXPECT_GE(span.begin_ns, until);
    EXPECT_GE(span.end_ns, span.begin_ns);
    until = span.end_ns;
    ++runs;
  }
  std::size_t expected = 0;
  for (const Operation& op : program.operations)
    expected += 2 * static_cast<std::size_t>(op.section == Section::micro ? program.micro_steps : 1);
  EXPECT_EQ(runs, expected);
}

// As a reader of the file alone would sum it.
TEST_F(DeviceTrace, file_alone_gives_the_rows_to_the_nanosecond) {
  const MadeRecords made(program, {.steps = 3, .graphs = true, .two_streams = true, .seed = 12});
  DeviceActivity activity = made.activity();
  DeviceWork early = activity.work.front();  // of no step, before the first
  early.begin_ns = made.steps.front().begin_ns - 5000;
  early.end_ns = early.begin_ns + 7;
  early.correlation = 1 << 30;
  early.graph_node = 0;
  activity.work.push_back(early);
  const Trace trace = traced(made, activity);
  const nlohmann::json file = nlohmann::json::parse(trace_json(program, plan_memory(program), trace, {}));
  std::map<std::tuple<std::string, std::string, std::string>, std::int64_t> sums;
  std::map<std::string, int> arrows;
  std::size_t work = 0;
  for (const nlohmann::json& event : file.at("traceEvents")) {
    EXPECT_GE(event.value("ts", 0.), 0) << event;
    if (event.at("ph") == "s" || event.at("ph") == "f") ++arrows[event.at("ph")];
    const std::string category = event.value("cat", "");
    if (category != "kernel" && category != "gpu_memcpy" && category != "gpu_memset") continue;
    ++work;
    EXPECT_EQ(event.at("tid"), event.at("args").at("stream"));
    const nlohmann::json& said = event.at("args");
    sums[{said.at("phase"), said.at("layer"), said.at("operation")}] += testing::nanoseconds_of(event.at("dur"));
  }
  EXPECT_EQ(work, trace.device.size());
  EXPECT_EQ((sums[{"outside", "", "unknown"}]), 7);
  for (const AttributedTime& row : attribute(program, trace)) {
    if (row.operation == "gaps" || row.operation == "overlap") continue;
    EXPECT_EQ(static_cast<double>(sums[{row.phase, row.site, row.operation}]) / 3, row.time_ns) << row.operation;
  }
  EXPECT_EQ(arrows["s"], arrows["f"]);
  EXPECT_EQ(arrows["s"], 3 * (1 + program.micro_steps));  // a step: control block and a graph a micro-step
}

TEST_F(DeviceTrace, owners_are_what_is_issued_while_they_are_innermost) {
  FakeCapture capture;
  const Clock clock;
  {
    DeviceIssues issues(capture, clock, 2);
    EXPECT_EQ(capture.owner(), WorkOwner{});
    issues.operation_begins(4, 1);  // recorded for a graph
    EXPECT_EQ(capture.owner(), (WorkOwner{.step = -1, .micro_step = 1, .operation = 4}));
    issues.operation_ends(4, 1);
    issues.step_begins();  // to warm up
    issues.replay_begins(1);
    EXPECT_TRUE(capture.owner().set_up);
    issues.step_ends();
    EXPECT_TRUE(issues.steps().empty());
    issues.count_steps();
    issues.step_begins();
    issues.step_ends();
    issues.step_begins();
    EXPECT_EQ(capture.owner(), (WorkOwner{.step = 1}));
    issues.replay_begins(2);
    EXPECT_EQ(capture.owner(), (WorkOwner{.step = 1, .micro_step = 2}));
    issues.replay_ends();
    issues.operation_begins(0, 0);  // and an exception leaves it open
    issues.step_ends();
    EXPECT_EQ(capture.owner(), WorkOwner{});
    EXPECT_EQ(issues.steps().size(), 2U);
  }
  EXPECT_TRUE(capture.owners.empty());
}

TEST(WorkOwner, is_kept_in_one_number) {
  for (const WorkOwner& owner : {WorkOwner{}, WorkOwner{.set_up = true}, WorkOwner{0, 0, 0},
                                 WorkOwner{(1 << 19) - 2, (1 << 19) - 1, (1 << 22) - 2}, WorkOwner{3, 2, -1}})
    EXPECT_EQ(unpacked(packed(owner)), owner);
  EXPECT_EQ(unpacked(0), std::nullopt);
  EXPECT_EQ(unpacked(77), std::nullopt);
}

}  // namespace
}  // namespace stepscope
