// What is known about one cell of a matrix: RUN/cells/ID/record.json, and a line of `plan --json`. Everything the report says about
// a cell as a whole is in its record; what was seen visit by visit is in the visits (visit.h), from which record_of (cell.h) makes it.
//     Record record = read_record(run / "cells" / id / "record.json");
//     fmt::print("{}\n", to_json(record).dump());          // one line, as `plan --json` prints it
// Quantities are bytes, nanoseconds, or floating-point operations of one optimizer step. A measured quantity is optional: absent (null)
// in a plan. Reading throws UsageError (file, key, what was found, what was expected) for another schema, a missing key, a wrong type.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stepscope {

inline constexpr std::string_view record_schema = "stepscope.record/1";

enum class Outcome {
  planned,  // described and predicted to fit; nothing measured yet
  ok,  // measured
  does_not_fit,  // predicted to need more bytes than there are
  out_of_memory,  // found out while running
  diverged,  // a loss that is not a number
  unverified,  // measured, but its numerics are not those of the reference cell: shows no time
  unsupported,  // this machine never can
  crashed,
  timeout,
  device_error,
  skipped,  // excluded by the matrix
};
[[nodiscard]] std::string_view name_of(Outcome outcome);  // "does-not-fit"
[[nodiscard]] std::optional<Outcome> outcome_named(std::string_view name);

struct Device {
  std::string kind = {};  // cpu | cuda | simulated
  std::string name = {};
};

// A 95 % interval of the typical step. With one visit there is none: low and high stay absent.
struct StepTime {
  double median = 0;  // ns, as every time here: exp of the mean of the logs of the visits' medians
  std::optional<double> low = {}, high = {};
  int visits = 0;  // a count; zero only in a plan
};

using NamedBytes = std::vector<std::pair<std::string, std::int64_t>>;  // by category, in the order to show them

struct HostBytes {  // in host memory, where copies bring values and states; in no other number of Bytes
  std::int64_t state = 0;
  std::int64_t arena = 0;
  std::optional<std::int64_t> used = {};  // state and arena, measured
  std::int64_t copied_to = 0, copied_from = 0;  // over the link in one optimizer step
  [[nodiscard]] std::int64_t planned() const { return state + arena; }
};

struct Bytes {
  std::int64_t state = 0;
  std::int64_t largest_live = 0;
  std::int64_t arena = 0;
  std::int64_t workspace = 0;
  std::int64_t predicted_peak = 0;  // state + arena
  std::optional<std::int64_t> used_peak = {};
  NamedBytes by_category = {};  // sums to predicted_peak
  std::optional<HostBytes> host = {};  // of a cell that has something there
};

struct Flops {  // of one optimizer step
  std::int64_t model = 0;  // what the mathematics asks for, causal half of the attention
  std::int64_t launched = 0;
  std::int64_t recomputed = 0;  // part of launched
};

struct Numerics {  // of step 1
  std::optional<double> loss = {};
  std::string reference = {};  // a cell id; the cell's own where it is the reference; empty until verified
  std::optional<double> loss_error = {};  // relative
  std::optional<double> gradient_error = {};  // relative, the largest over parameters
  std::optional<double> loss_limit = {}, gradient_limit = {};  // the row of the tolerance table they were held to
  std::string arithmetic = "native";  // native | widened (storage narrower than the arithmetic)
  std::optional<std::string> not_computed = {};  // why there are none: a simulated card that only costs its kernels
};

struct Peak {  // what MFU and HFU divide by
  std::optional<double> flops_per_second = {};
  std::string source = {};  // where it is from; without a number: why there is none
};

struct PredictedTime {  // from a card's roofline or measured operation times
  double step_ns = 0;
  std::string card = {};
  std::string source = {};  // "roofline of h100-sxm"
  std::optional<double> measured_share =
      {};  // of the operations' time: those that were measured with the same operands
  std::optional<double> copy_wait_ns = {};  // part of step_ns: copies from and to host memory that nothing hides
};

struct LossScaling {  // of the visit with the most steps
  double scale = 1;  // that its next step would have had
  std::int64_t skipped_steps = 0;  // whose gradients overflowed: nothing was updated
  std::int64_t steps = 0;
};

struct RepeatedPlace {
  std::string place = {};  // "blocks.*.mlp.norm layer_norm"
  std::int64_t repeated = 0, of = 0;  // operations there
};

struct BudgetRecord {  // what a byte budget of checkpointing chose
  std::int64_t limit_bytes = 0;  // for states and arena
  std::int64_t logits_chunks = 1;
  std::string times_of = {};  // whose speeds it weighed repeats by
  std::vector<RepeatedPlace> repeated = {};
};

struct Record {
  std::string id = {};
  int position = 0;  // in the matrix, so that tables keep its order
  nlohmann::ordered_json axes = nlohmann::ordered_json::object();  // {name: value}; a value as the matrix file has it
  Outcome outcome = Outcome::planned;
  std::string reason = {};  // empty where all is well
  std::string repeat = {};  // the one-line command that does this cell again
  Device device = {};
  std::int64_t parameters = 0;  // a count of elements
  std::int64_t tokens_per_step = 0;
  std::optional<StepTime> step_time_ns = {};
  std::optional<double> tokens_per_second = {};
  Bytes bytes = {};
  Flops flops = {};
  std::optional<double> mfu = {}, hfu = {};  // fractions of the peak
  Peak peak = {};
  Numerics numerics = {};
  std::optional<LossScaling> loss_scaling = {};  // where the precision scales the loss
  // Profiled step / untraced step of the same visit - 1, with its 95 % interval: over visits, of one alone over its steps.
  std::optional<double> profiler_overhead = {}, profiler_overhead_low = {}, profiler_overhead_high = {};
  // Of a measured cell: from a calibration that has not seen it.
  std::optional<PredictedTime> predicted_time = {};
  std::optional<BudgetRecord> budget = {};
  int failed_visits = 0;
  int disturbed_visits = 0;  // counted, never dropped
};

[[nodiscard]] nlohmann::ordered_json to_json(const Record& record);
[[nodiscard]] Record record_from_json(const nlohmann::ordered_json& json, const std::string& file);
[[nodiscard]] Record read_record(const std::filesystem::path& file);
void write_record(const std::filesystem::path& file,
                  const Record& record);  // atomically: a killed run leaves the old one or the new one

// Its numerics were held against the reference cell, or it is the reference.
[[nodiscard]] bool verified(const Record& record);
// Only a verified cell shows a time; and one of a simulated card that computed nothing, whose report says so.
[[nodiscard]] bool may_show_time(const Record& record);
// Takes its time and all that follows from it away, and says why.
void mark_unverified(Record& record, std::string reason);

}  // namespace stepscope
