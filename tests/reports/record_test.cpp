// Records and visits come back from disk as they were written, and a file that is not what it should be is refused in one clear line.
#include "reports/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "model/base/error.h"
#include "reports/comparison.h"
#include "reports/visit.h"
#include "tests/reports/synthetic_run.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

struct Example {
  SyntheticRun run;
  SyntheticCell cell{"bf16", {"MLPBlock", "AttentionBlock"}, 4, 4};
  Record plan = run.planned(cell, 5);
  std::mt19937 random{1};
  std::vector<Visit> visits = run.visits_of(cell, plan, random);
};

TEST(Record, comes_back_as_it_was) {
  Example example;
  Record record = record_of(example.plan, example.visits);
  record.numerics.gradient_error = 1.0 / 3;
  record.predicted_time = {.step_ns = 0.1 + 0.2, .card = "h100-sxm", .source = "roofline of h100-sxm"};
  record.predicted_time->copy_wait_ns = 1.0 / 3;
  record.bytes.host = HostBytes{.state = 1, .arena = 2, .used = 3, .copied_to = 4, .copied_from = 5};
  record.reason = "quote \" and newline \n";
  const nlohmann::ordered_json json = to_json(record);
  EXPECT_EQ(to_json(record_from_json(nlohmann::ordered_json::parse(json.dump()), "r")), json);
}

TEST(Record, of_a_card_that_computes_nothing_shows_a_time_and_is_never_verified) {
  Record record;
  record.id = record.numerics.reference = "a";
  record.outcome = Outcome::ok;
  EXPECT_TRUE(verified(record));
  record.numerics.not_computed = "costed";
  record.device.kind = "simulated";
  EXPECT_TRUE(!verified(record) && may_show_time(record));
  record.device.kind = "cuda";  // what is real computes
  EXPECT_FALSE(verified(record) || may_show_time(record));
}

// On a card host memory is beside what is short; on a CPU it is the same memory, and sending values there wins nothing.
TEST(Record, takes_host_memory_of_a_cpu_alone_as_its_own) {
  Record record = Example{}.plan;
  record.bytes.predicted_peak = 100, record.bytes.used_peak = 100;
  record.bytes.host = HostBytes{.state = 20, .arena = 3};
  record.device.kind = "cuda";
  EXPECT_EQ(peak_bytes(record), 100);
  record.device.kind = "cpu";
  EXPECT_EQ(peak_bytes(record), 123);
  record.bytes.host->used = 24;
  EXPECT_EQ(peak_bytes(record), 124);
}

TEST(Record, has_the_keys_of_the_contract) {
  const nlohmann::ordered_json json = to_json(Example{}.plan);
  for (const char* path : {"/schema",
                           "/id",
                           "/axes/precision",
                           "/outcome",
                           "/reason",
                           "/repeat",
                           "/device/kind",
                           "/device/name",
                           "/parameters",
                           "/tokens_per_step",
                           "/step_time_ns",
                           "/tokens_per_second",
                           "/bytes/state",
                           "/bytes/largest_live",
                           "/bytes/arena",
                           "/bytes/workspace",
                           "/bytes/predicted_peak",
                           "/bytes/used_peak",
                           "/bytes/by_category",
                           "/flops/model",
                           "/flops/launched",
                           "/flops/recomputed",
                           "/mfu",
                           "/hfu",
                           "/numerics/loss",
                           "/numerics/reference",
                           "/numerics/loss_error",
                           "/numerics/gradient_error",
                           "/numerics/arithmetic",
                           "/profiler_overhead"}) {
    EXPECT_TRUE(json.contains(nlohmann::ordered_json::json_pointer(path))) << path;
  }
  EXPECT_TRUE(json["bytes"]["used_peak"].is_null());  // a plan measured nothing
  EXPECT_TRUE(json["step_time_ns"].is_null());
}

TEST(Record, every_outcome_has_a_name_of_its_own) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Outcome::skipped); ++i) {
    const Outcome outcome = static_cast<Outcome>(i);
    EXPECT_EQ(outcome_named(name_of(outcome)), outcome);
    names.insert(name_of(outcome));
  }
  EXPECT_EQ(names.size(), 11u);
  EXPECT_FALSE(outcome_named("fine").has_value());
}

TEST(Record, another_schema_is_refused_with_file_found_and_expected) {
  nlohmann::ordered_json json = to_json(Example{}.plan);
  json["schema"] = "stepscope.record/9";
  EXPECT_THAT(message_of([&] { (void)record_from_json(json, "RUN/record.json"); }),
              AllOf(HasSubstr("RUN/record.json"), HasSubstr("stepscope.record/9"),
                    HasSubstr("expected \"stepscope.record/1\"")));
  json.erase("schema");
  EXPECT_THAT(message_of([&] { (void)record_from_json(json, "f"); }), HasSubstr("\"schema\" is missing"));
}

TEST(Record, a_wrong_value_names_its_key) {
  const auto with = [](const char* pointer, const nlohmann::ordered_json& value) {
    nlohmann::ordered_json json = to_json(Example{}.plan);
    json[nlohmann::ordered_json::json_pointer(pointer)] = value;
    return message_of([&] { (void)record_from_json(json, "f"); });
  };
  EXPECT_THAT(with("/bytes/arena", "many"),
              AllOf(HasSubstr("bytes.arena"), HasSubstr("\"many\""), HasSubstr("whole number")));
  EXPECT_THAT(with("/bytes/arena", 1.5), HasSubstr("whole number"));
  EXPECT_THAT(with("/parameters", 18446744073709551615ull), HasSubstr("fits"));
  EXPECT_THAT(with("/outcome", "fine"), AllOf(HasSubstr("outcome"), HasSubstr("fine")));
  EXPECT_THAT(with("/axes", 3), HasSubstr("axes"));
  nlohmann::ordered_json json = to_json(Example{}.plan);
  json["flops"].erase("model");
  EXPECT_THAT(message_of([&] { (void)record_from_json(json, "f"); }), HasSubstr("\"flops.model\" is missing"));
}

TEST(Record, a_cut_or_missing_file_is_one_line) {
  const std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "cut_record.json";
  write_record(file, Example{}.plan);
  const auto size = std::filesystem::file_size(file);
  std::filesystem::resize_file(file, size / 2);
  EXPECT_THAT(message_of([&] { (void)read_record(file); }), AllOf(HasSubstr("cut_record.json"), HasSubstr("not JSON")));
  std::filesystem::remove(file);
  EXPECT_THAT(message_of([&] { (void)read_record(file); }), HasSubstr("cut_record.json"));
}

TEST(Visit, comes_back_as_it_was) {
  for (const Visit& visit : Example{}.visits) {
    const nlohmann::ordered_json json = to_json(visit);
    EXPECT_EQ(to_json(visit_from_json(nlohmann::ordered_json::parse(json.dump()), "v")), json);
  }
}

TEST(Visit, a_loss_that_is_no_number_survives_the_disk) {
  Visit visit{.cell = "a", .kind = VisitKind::learning};
  visit.losses = {{.step = 1, .tokens_seen = 8, .elapsed_ns = 1, .loss = std::nan("")}};
  const Visit back = visit_from_json(nlohmann::ordered_json::parse(to_json(visit).dump()), "v");
  EXPECT_TRUE(std::isnan(back.losses[0].loss));
}

TEST(Visit, a_record_is_no_visit) {
  EXPECT_THAT(message_of([] { (void)visit_from_json(to_json(Example{}.plan), "f"); }),
              AllOf(HasSubstr("stepscope.record/1"), HasSubstr("stepscope.visit/1")));
}

}  // namespace
}  // namespace stepscope
