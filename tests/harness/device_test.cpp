// --device: names, refusals, and a cell that the commands' own code runs on a card, which is host SIMT here.
#include "harness/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/matrix.h"
#include "harness/measure.h"
#include "harness/planned.h"
#include "harness/session.h"
#include "model/base/error.h"
#include "model/base/tolerance.h"
#include "model/execution/region.h"
#include "tests/support/temporary_folder.h"

namespace stepscope::testing {

using ::testing::HasSubstr;

namespace {

MatrixCell small_cell(std::vector<std::string> sets) {
  for (const char* set : {"layers=1", "global_batch=2", "sequence=8", "dropout=0.1"}) sets.emplace_back(set);
  return matrix_of(overrides_of(sets, "tiny", "")).cells.front();
}

class OnDevice : public TemporaryFolder {
 protected:
  void SetUp() override {
    try {
      card = machine_on("cuda", 0);
    } catch (const Unsupported& error) {
      GTEST_SKIP() << error.what();
    }
  }
  void TearDown() override { cap_memory(0); }

  Visit visit_of(const MatrixCell& cell, const Machine& machine, VisitKind kind) const {
    return measure({.cell = &cell, .machine = machine, .kind = kind, .round = 1, .folder = folder}, Heartbeat(-1));
  }

  Machine card;
};

nlohmann::json output_of(const std::string& command) {
  CLI::App app;
  add_step(app);
  add_plan(app);
  ::testing::internal::CaptureStdout();
  app.parse(command);
  return nlohmann::json::parse(::testing::internal::GetCapturedStdout());
}

}  // namespace

TEST(DeviceNames, are_cpu_and_cards_by_number) {
  EXPECT_EQ(card_of_device("cpu"), std::nullopt);
  EXPECT_EQ(card_of_device("cuda"), 0);
  EXPECT_EQ(card_of_device("cuda:12"), 12);
  EXPECT_EQ(name_of_device(Machine{}), "cpu");
  Machine fourth;
  fourth.has_kernels = true;
  fourth.card = 3;
  EXPECT_EQ(name_of_device(fourth), "cuda:3");
  for (const char* wrong : {"gpu", "", "cuda:", "cuda:-1", "cuda:1x", "CUDA"})
    EXPECT_THROW((void)card_of_device(wrong), UsageError) << wrong;
}

TEST_F(OnDevice, a_card_that_is_not_there_is_refused_by_its_number) {
  try {
    (void)machine_on("cuda:7", 0);
    FAIL();
  } catch (const Unsupported& error) {
    EXPECT_THAT(error.what(), HasSubstr("--device cuda:7: ")) << error.what();
  }
}

TEST_F(OnDevice, a_child_that_looks_sees_the_same_card) {
  const Machine seen = machine_seen_by_child("cuda", 0);
  EXPECT_EQ(seen.name, card.name);
  EXPECT_EQ(seen.memory_bytes, card.memory_bytes);
  EXPECT_TRUE(seen.has_kernels && seen.kind == Machine::Kind::cuda && seen.native_bf16 == card.native_bf16);
  EXPECT_THROW((void)machine_seen_by_child("cuda:7", 0), Unsupported);
}

TEST_F(OnDevice, step_says_which_card_and_computes_what_the_cpu_does) {
  const std::string cell = " --preset tiny --set layers=1 --set global_batch=2 --set sequence=8 --json --steps 2";
  const nlohmann::json on_card = output_of("step --device cuda" + cell), on_cpu = output_of("step" + cell);
  EXPECT_EQ(on_card["device"]["kind"], "cuda");
  EXPECT_EQ(on_card["device"]["name"], card.name);
  EXPECT_EQ(on_cpu["device"]["kind"], "cpu");
  EXPECT_EQ(on_card["id"], on_cpu["id"]);
  EXPECT_TRUE(close(on_card["loss"].get<double>(), on_cpu["loss"].get<double>(), DType::fp32)) << on_card << on_cpu;
  EXPECT_EQ(on_card["used_peak"], on_card["predicted_peak"]);
  EXPECT_EQ(on_card["differences"], nlohmann::json::array());
}

TEST_F(OnDevice, plan_counts_the_bytes_that_a_step_uses_there_and_what_the_card_holds_beside) {
  const std::string cell = " --device cuda --preset tiny --set layers=1 --set global_batch=2 --set sequence=8 --json";
  const nlohmann::json planned = output_of("plan" + cell), stepped = output_of("step" + cell);
  EXPECT_EQ(planned["device"], stepped["device"]);
  EXPECT_EQ(planned["bytes"]["predicted_peak"], stepped["predicted_peak"]);
  EXPECT_EQ(planned["fit"]["memory"]["bytes"], card.memory_bytes) << planned;
  const Machine fitted = with_memory(card, fit_here(card, 0));
  EXPECT_EQ(fitted.context_bytes, card.context_bytes);
  EXPECT_EQ(with_memory(card, fit_here(card, 1 << 30)).memory_bytes, 1 << 30);
}

TEST_F(OnDevice, a_timed_visit_uses_the_bytes_that_were_planned) {
  const MatrixCell cell = small_cell({"precision=bf16", "accumulation=2", "timed_steps=2", "warmup_steps=1"});
  const Visit visit = visit_of(cell, card, VisitKind::timed);
  EXPECT_EQ(visit.outcome, Outcome::ok) << visit.reason;
  EXPECT_EQ(visit.arena_used_bytes.value_or(0) + visit.used_by_category.front().second, visit.predicted_bytes);
  EXPECT_EQ(visit.step_time_ns.size(), 2U);
  ASSERT_TRUE(visit.device_reports_bytes);
  EXPECT_GE(*visit.device_reports_bytes, visit.predicted_bytes);
}

TEST_F(OnDevice, launching_one_by_one_is_an_axis_of_cards) {
  const MatrixCell graphs = small_cell({"launch=graph"}), eager = small_cell({"launch=eager"});
  EXPECT_EQ(graphs.id, small_cell({}).id);
  EXPECT_NE(graphs.id, eager.id);
  const auto loss = [&](const MatrixCell& cell) {
    Session session(cell, card, {});
    return session.trainer().step().loss;
  };
  EXPECT_EQ(loss(graphs), loss(eager));
  EXPECT_THROW(Session(eager, machine_on("cpu", 1), {}), Unsupported);
}

TEST_F(OnDevice, a_step_too_large_for_the_card_is_an_outcome_with_its_bytes) {
  cap_memory(100000);
  const Visit visit = visit_of(small_cell({}), card, VisitKind::timed);
  EXPECT_EQ(visit.outcome, Outcome::out_of_memory);
  EXPECT_THAT(visit.reason, HasSubstr("100000"));
}

TEST_F(OnDevice, batches_written_ahead_are_those_of_their_steps) {
  const MatrixCell cell = small_cell({"data.source=synthetic"});
  const Machine cpu = machine_on("cpu", 1);
  Session on_card(cell, card, {.schedule_steps = 4}), on_cpu(cell, cpu, {.schedule_steps = 4});
  for (int i = 0; i < 4; ++i) {
    if (i == 2) (void)on_card.executor().measure_used_bytes(on_card.trainer().next_learning_rate());
    const StepResult a = on_card.trainer().step(), b = on_cpu.trainer().step();
    EXPECT_TRUE(close(a.loss, b.loss, DType::fp32)) << i << ": " << a.loss << ", " << b.loss;
    EXPECT_EQ(a.token_count, b.token_count);
  }
}

}  // namespace stepscope::testing
