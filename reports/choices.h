// What a run's cells could have kept instead: the frontier of byte budgets and the price of each activation, planned before anything ran.
//     RUN/choices.json, read into MeasuredRun::choices; the report draws it
// One group for every mix of fields beside `checkpointing`. Bytes are of the process, states and arena; times of one optimizer step,
// by the speeds that `times_of` names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "reports/record.h"

namespace stepscope {

inline constexpr std::string_view choices_schema = "stepscope.choices/1";

struct FrontierRow {
  std::string value = {};  // of `checkpointing`: "MLPBlock", "budget:2048MiB"
  bool named = false;  // a value that is no budget
  std::int64_t peak_bytes = 0;
  std::int64_t logits_chunks = 1;
  double step_ns = 0;
  double repeated_ns = 0;  // part of step_ns
  std::optional<double> wait_ns = {};  // part of step_ns: copies from and to host memory, where any are
  std::string dominated_by = {};  // what needs no more bytes and is as fast
  std::optional<std::vector<RepeatedPlace>> repeated = {};  // of a rung alone
};

struct PriceRow {
  std::string target = {};  // "gelu", "blocks.*.mlp.up u"
  std::int64_t freed_bytes = 0;  // by which the arena falls where it alone is not kept
  double added_ns = 0;
  std::string dominated_by = {};
};

struct ChoiceGroup {
  std::string title = {};  // "bf16, 4 micro-batches"
  std::vector<std::string> cells = {};  // ids: those of the run that differ in checkpointing alone
  std::int64_t state_bytes = 0;
  std::vector<FrontierRow> frontier = {};  // by time, the fastest first
  std::vector<FrontierRow> dominated = {};
  std::vector<PriceRow> prices = {};  // by ms a GiB; what frees nothing last
};

struct CardMemory {  // of a known card, for the question which mix fits it
  std::string name = {}, title = {};  // "l4", "NVIDIA L4 24GB"
  std::int64_t memory_bytes = 0;
  std::int64_t beside_bytes = 0;  // context, libraries, graph
  bool estimated = false;  // any of them
};

struct Choices {
  std::string times_of = {};
  std::vector<ChoiceGroup> groups = {};
  int groups_left_out = 0;
  std::optional<std::vector<CardMemory>> cards = {};  // by what they leave to a step; none: a run of an earlier version
};

[[nodiscard]] double ns_per_gib(const PriceRow& row);  // of a row that frees something

// A few members of a frontier, about evenly in bytes from the fastest to the smallest, each the one that its value gives when it is
// written: those that a table shows with what they repeat.
[[nodiscard]] std::vector<std::size_t> rungs_of(const std::vector<FrontierRow>& frontier, std::size_t most = 8);

[[nodiscard]] Choices read_choices(const std::filesystem::path& file);  // UsageError as read_record
void write_choices(const std::filesystem::path& file, const Choices& choices);

}  // namespace stepscope
