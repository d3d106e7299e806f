// A run folder as a run would have left it, with simulated numbers that follow simple laws, so that what a report says of them can be
// derived: bf16 takes `bf16_time` of the time, recompute adds the FLOPs of its target, accumulation divides the activations.
//     const std::filesystem::path folder = SyntheticRun{.rounds = 3}.write(directory);
#pragma once

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "reports/calibration.h"
#include "reports/cell.h"
#include "reports/choices.h"
#include "reports/prediction.h"
#include "reports/record.h"
#include "reports/visit.h"

namespace stepscope {

struct SyntheticCell {
  std::string precision;
  nlohmann::ordered_json checkpointing;
  int accumulation = 1;
  int layers = 4;
};

struct SyntheticRun {
  int rounds = 3;
  int timed_steps = 20;
  double bf16_time = 0.62;  // of fp32's
  double noise = 0.01;  // standard deviation of the logs of visits
  double drift = 0.03;  // a round, all cells alike
  bool failures = true;  // one crashed, one does not fit, one skipped
  std::string device = "simulated";
  int learning_steps = 120;
  unsigned seed = 20;  // of the noise
  bool choices = false;  // choices.json, by a roofline that knows nothing of this machine's scale
  std::vector<SyntheticCell> cells = product();

  static std::vector<SyntheticCell> product() {
    std::vector<SyntheticCell> cells;
    const nlohmann::ordered_json targets = {"MLPBlock", "AttentionBlock"};
    for (const char* precision : {"fp32", "bf16"}) {
      for (const nlohmann::ordered_json& checkpointing :
           {nlohmann::ordered_json("none"), targets, nlohmann::ordered_json("TransformerBlock"),
            nlohmann::ordered_json("every-2")}) {
        for (const int accumulation : {1, 4}) cells.push_back({precision, checkpointing, accumulation});
      }
    }
    return cells;
  }

  static std::string id_of(const SyntheticCell& cell, int number) {
    std::string name =
        cell.checkpointing.is_array() ? "MLPBlock+AttentionBlock" : cell.checkpointing.get<std::string>();
    for (char& c : name) c = c == ':' ? '-' : c;
    char hash[16];
    std::snprintf(hash, sizeof hash, "%06x", 0x5a1c00 + number * 7919 % 65521);
    return cell.precision + "-" + name + "-x" + std::to_string(cell.accumulation) + "-" + hash;
  }

  // The share of the forward pass that is done again.
  static double recomputed_share(const SyntheticCell& cell) {
    if (cell.checkpointing.is_array()) return 0.6;
    if (cell.checkpointing == "none") return 0;
    return cell.checkpointing == "TransformerBlock" ? 0.9 : 0.95;
  }
  static double kept_share(const SyntheticCell& cell) {
    if (cell.checkpointing.is_array()) return 0.35;
    if (cell.checkpointing == "none") return 1;
    return cell.checkpointing == "TransformerBlock" ? 0.3 : 0.42;
  }

  [[nodiscard]] std::vector<SpanSum> spans_of(const SyntheticCell& cell) const {
    std::vector<SpanSum> spans;
    const double scale = cell.precision == "bf16" ? bf16_time : 1;
    const std::int64_t tokens = 1024, hidden = 256;
    const auto add = [&](const std::string& phase, const std::string& site, const std::string& operation, double us,
                         double factor) {
      const double speed = operation == "adam" || operation == "cross_entropy" ? 1 : scale;
      spans.push_back({.phase = phase,
                       .site = site,
                       .operation = operation,
                       .count = phase == "update" ? 1 : cell.accumulation,
                       .time_ns = us * 1e3 * factor * speed * (1 + 0.02 * std::log2(cell.accumulation)),
                       .flops = operation == "linear" ? std::int64_t(2 * tokens * hidden * hidden * 4 * factor)
                                                      : std::int64_t(tokens * hidden * 6),
                       .bytes = tokens * hidden * (cell.precision == "bf16" ? 2 : 4) * 3});
    };
    const auto block = [&](const std::string& phase, int index, double factor, double share) {
      const std::string at = "blocks." + std::to_string(index);
      add(phase, at + ".mlp.norm", "layer_norm", 160, factor);
      add(phase, at + ".mlp.up", "linear", 1450, factor);
      add(phase, at + ".mlp.gelu", "gelu", 420, factor);
      if (share > 0.7) add(phase, at + ".mlp.down", "linear", 1400, factor);
      add(phase, at + ".attention.norm", "layer_norm", 160, factor);
      add(phase, at + ".attention.qkv", "linear", 1080, factor);
      add(phase, at + ".attention.core", "attention", 900, factor);
      if (share > 0.7) add(phase, at + ".attention.out", "linear", 380, factor);
    };
    if (cell.precision == "bf16") add("prologue", "blocks.0.mlp.up", "cast", 300, 1);
    add("forward", "embedding", "embedding", 120, 1);
    for (int i = 0; i < cell.layers; ++i) block("forward", i, 1, 1);
    add("forward", "final_norm", "layer_norm", 160, 1);
    add("forward", "head", "linear", 420, 1);
    add("forward", "loss", "cross_entropy", 350, 1);
    add("backward", "head", "linear", 420, 2);
    for (int i = cell.layers - 1; i >= 0; --i) {
      if (recomputed_share(cell) > 0) block("recompute", i, 1, recomputed_share(cell));
      block("backward", i, 2.05, 1);
    }
    add("backward", "embedding", "embedding", 300, 1);
    for (int i = 0; i < cell.layers; ++i) add("update", "blocks." + std::to_string(i), "adam", 600, 1);
    add("update", "head", "adam", 200, 1);
    return spans;
  }

  // The same by what is done, wherever in the model.
  static std::vector<TimedWork> operations_of(const SyntheticCell& cell, const std::vector<SpanSum>& spans) {
    std::vector<TimedWork> rows;
    for (const SpanSum& span : spans) {
      const std::string type = cell.precision + "[" + std::to_string(1024 / cell.accumulation) + "," +
                               span.site.substr(span.site.rfind('.') + 1) + "]";
      const OperationWork work{span.operation, type + " > " + type, span.phase, span.flops, span.bytes};
      const auto same = std::find_if(rows.begin(), rows.end(), [&](const TimedWork& row) { return row.work == work; });
      TimedWork& row = same == rows.end() ? rows.emplace_back(TimedWork{.work = work}) : *same;
      row.count += span.count;
      row.time_ns += span.time_ns;
    }
    return rows;
  }

  [[nodiscard]] double step_ns(const SyntheticCell& cell) const {
    double sum = 0;
    for (const SpanSum& span : spans_of(cell)) sum += span.time_ns;
    return sum * 1.03;  // and what lies between operations
  }

  [[nodiscard]] Record planned(const SyntheticCell& cell, int number) const {
    Record record;
    record.id = id_of(cell, number);
    record.position = number;
    record.axes = {
        {"precision", cell.precision}, {"checkpointing", cell.checkpointing}, {"accumulation", cell.accumulation}};
    if (cell.layers != 4) record.axes["layers"] = cell.layers;
    record.repeat = "stepscope run matrix.toml --out runs/again --only " + record.id;
    record.device = {device, device == "cpu" ? "Xeon, 2 threads" : "simulated two-core machine"};
    record.parameters = 3'323'648;
    record.tokens_per_step = 1024;
    const std::int64_t parameters = record.parameters * 4,
                       copies = cell.precision == "bf16" ? record.parameters * 2 : 0;
    const double activations =
        62.0e6 * (cell.precision == "bf16" ? 0.54 : 1) * kept_share(cell) / cell.accumulation * cell.layers / 4;
    const auto rounded = [](double bytes) { return std::int64_t(bytes) / 256 * 256; };
    record.bytes.by_category = {{"parameters", parameters},
                                {"copies", copies},
                                {"gradients", parameters},
                                {"moments", 2 * parameters},
                                {"batch", 8192 + 256},
                                {"activations", rounded(activations)},
                                {"activation gradients", rounded(4.2e6 / cell.accumulation)},
                                {"statistics", rounded(0.3e6)},
                                {"workspace", rounded(1.5e6)}};
    record.bytes.state = 4 * parameters + copies + 8192 + 256;
    for (const auto& [name, bytes] : record.bytes.by_category) record.bytes.predicted_peak += bytes;
    record.bytes.arena = record.bytes.predicted_peak - record.bytes.state;
    record.bytes.workspace = rounded(1.5e6);
    record.bytes.largest_live = record.bytes.arena - record.bytes.workspace;
    record.flops.model = 20'000'000'000;
    record.flops.recomputed = std::int64_t(6.6e9 * recomputed_share(cell));
    record.flops.launched = record.flops.model + record.flops.recomputed;
    record.peak = {.flops_per_second = cell.precision == "bf16" ? 860e9 : 520e9,
                   .source = "measured matmul rate of this machine"};
    return record;
  }

  [[nodiscard]] MemoryTimeline timeline_of(const SyntheticCell& cell, const Record& record) const {
    MemoryTimeline memory;
    const double peak = double(record.bytes.arena), kept = peak * 0.86;
    const int forward = 10 * cell.layers + 6, backward = (recomputed_share(cell) > 0 ? 30 : 20) * cell.layers + 4,
              update = cell.layers + 1;
    memory.phases = {{"prologue", 0}, {"forward", 1}, {"backward", 1 + forward}, {"update", 1 + forward + backward}};
    memory.live_bytes.push_back(256);
    for (int i = 0; i < forward; ++i)
      memory.live_bytes.push_back(std::int64_t(kept * (i + 1) / forward + (i % 5 == 3 ? 0.04 * peak : 0)));
    memory.peak_operation = 1 + forward;
    for (int i = 0; i < backward; ++i) {
      const double saw =
          recomputed_share(cell) > 0 ? 0.25 * peak * (i % 30) / 30 * (1 - double(i) / backward) : 0.03 * peak * (i % 4);
      memory.live_bytes.push_back(
          i == 0 ? record.bytes.arena
                 : std::min(std::int64_t(kept * (1 - double(i) / backward) + saw), record.bytes.arena - 256));
    }
    for (int i = 0; i < update; ++i) memory.live_bytes.push_back(4096);
    std::int64_t left = record.bytes.largest_live;
    const auto live = [&](const std::string& name, const std::string& owner, std::int64_t bytes, int born) {
      bytes = std::min(bytes, left);
      left -= bytes;
      memory.live_at_peak.push_back({.name = name,
                                     .shape = "[1024,256]",
                                     .dtype = cell.precision,
                                     .owner = owner,
                                     .bytes = bytes,
                                     .born = born,
                                     .dies = 60 + born});
    };
    for (int i = 0; i < cell.layers; ++i)
      live("u" + std::to_string(i), "blocks." + std::to_string(i) + ".mlp.up", record.bytes.largest_live / 8,
           4 + 10 * i);
    for (int i = 0; i < cell.layers; ++i)
      live("qkv" + std::to_string(i), "blocks." + std::to_string(i) + ".attention.qkv", record.bytes.largest_live / 12,
           8 + 10 * i);
    for (int i = 0; left > 0 && i < 40; ++i)
      live("h" + std::to_string(i), "blocks." + std::to_string(i % cell.layers) + ".mlp.norm",
           record.bytes.largest_live / 24, 2 + i);
    return memory;
  }

  [[nodiscard]] std::vector<Visit> visits_of(const SyntheticCell& cell, const Record& record,
                                             std::mt19937& random) const {
    std::normal_distribution<double> normal;
    std::vector<Visit> visits;
    const auto make = [&](VisitKind kind, int round) {
      Visit visit{.cell = record.id, .round = round, .kind = kind};
      visit.started_ns = 1'764'000'000'000'000'000 + std::int64_t(visits.size()) * 2'000'000'000;
      visit.ended_ns = visit.started_ns + 1'500'000'000;
      visit.warmup_steps = 3;
      visit.predicted_bytes = record.bytes.predicted_peak;
      visit.arena_used_bytes = record.bytes.arena;
      visit.used_by_category = {{"state", record.bytes.state}, {"arena", record.bytes.arena}};
      visit.device_reports_bytes = record.bytes.predicted_peak + 41'000'000;
      visit.numerics = {.loss = 5.5612 + (cell.precision == "bf16" ? 0.0007 : 0)};
      visit.disturbance = {.load_average = 1.1, .steal_fraction = 0.001};
      const double factor =
          std::exp(noise * normal(random)) * (1 + drift * round) * (kind == VisitKind::profiled ? 1.006 : 1);
      for (int step = 0; step < timed_steps; ++step)
        visit.step_time_ns.push_back(step_ns(cell) * factor * std::exp(0.4 * noise * normal(random)));
      return visit;
    };
    for (int round = 1; round <= rounds; ++round) visits.push_back(make(VisitKind::timed, round));
    if (rounds > 1 && record.position == 3) {
      visits[1].disturbance = {
          .load_average = 4.8, .steal_fraction = 0.09, .disturbed = true, .reason = "load average 4.8 on 2 threads"};
    }
    Visit profiled = make(VisitKind::profiled, 1);
    profiled.spans = spans_of(cell);
    double mean = 0;
    for (const double step : profiled.step_time_ns) mean += step / double(profiled.step_time_ns.size());
    for (SpanSum& span : profiled.spans) span.time_ns *= mean / step_ns(cell);
    profiled.operations = operations_of(cell, profiled.spans);
    profiled.memory = timeline_of(cell, record);
    visits.push_back(std::move(profiled));
    const bool learns = cell.accumulation == 1 &&
                        (cell.checkpointing == "none" || (cell.precision == "bf16" && cell.checkpointing.is_array()));
    if (!learns || learning_steps == 0) return visits;
    Visit learning = make(VisitKind::learning, 1);
    learning.step_time_ns.clear();
    std::mt19937 batches(7);  // the same text for every cell
    for (int step = 1; step <= learning_steps; ++step) {
      const double loss = 1.9 + 3.65 * std::exp(-step / 45.0) + 0.06 * normal(batches) +
                          (cell.precision == "bf16" ? 0.002 * normal(random) : 0);
      learning.losses.push_back({step, step * record.tokens_per_step, std::int64_t(step * step_ns(cell)), loss});
      if (step % 40 == 0)
        learning.validation_losses.push_back(
            {step, step * record.tokens_per_step, std::int64_t(step * step_ns(cell)), loss + 0.04});
    }
    visits.push_back(std::move(learning));
    return visits;
  }

  std::filesystem::path write(const std::filesystem::path& folder) const {
    std::mt19937 random(seed);
    std::filesystem::create_directories(folder / "cells");
    std::string reference;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const int number = static_cast<int>(i);
      Record plan = planned(cells[i], number);
      if (reference.empty()) reference = plan.id;
      plan.numerics.reference = reference;
      if (plan.id != reference) {
        plan.numerics.loss_error = cells[i].precision == "bf16" ? 1.3e-4 : 0;
        plan.numerics.gradient_error = cells[i].precision == "bf16" ? 6.1e-3 : cells[i].accumulation == 1 ? 0 : 3.2e-7;
        plan.numerics.loss_limit = cells[i].precision == "bf16" ? 1e-2 : 1e-5;
        plan.numerics.gradient_limit = cells[i].precision == "bf16" ? 3e-2 : 1e-5;
      }
      const std::filesystem::path at = folder / "cells" / plan.id;
      std::filesystem::create_directories(at);
      const std::vector<Visit> visits = visits_of(cells[i], plan, random);
      for (std::size_t k = 0; k < visits.size(); ++k)
        write_visit(at / ("visit-" + std::to_string(k) + ".json"), visits[k]);
      write_record(at / "record.json", record_of(plan, visits));
    }
    if (failures) write_failures(folder);
    write_calibration(folder / "calibration.json", calibration());
    if (choices) write_choices(folder / "choices.json", choices_of_cells());
    write_environment(folder);
    (void)publish_predictions(folder);
    return folder;
  }

  // A frontier a group, from keeping everything to the bytes of TransformerBlock at a third of its time; presets lie above it.
  [[nodiscard]] ChoiceGroup group_of(const std::string& precision, int accumulation) const {
    ChoiceGroup group{.title = precision + ", " + std::to_string(accumulation) + " micro-batches"};
    const auto planned_as = [&](const nlohmann::ordered_json& value) {
      return planned({precision, value, accumulation}, 0).bytes;
    };
    const auto time_of = [&](const nlohmann::ordered_json& value) {
      return 0.4 * step_ns({precision, value, accumulation});
    };
    const Bytes most = planned_as("none"), least = planned_as("TransformerBlock");
    group.state_bytes = most.state;
    constexpr int members = 20;
    for (int i = 0; i <= members; ++i) {
      const double share = double(i) / members;
      const std::int64_t peak =
          most.predicted_peak - std::int64_t(share * double(most.predicted_peak - least.predicted_peak));
      const double repeated = share * share * (time_of("TransformerBlock") - time_of("none")) / 3;
      group.frontier.push_back(
          {.value = i == 0 ? "none" : "budget:" + std::to_string((peak + (1 << 20) - 1) >> 20) + "MiB",
           .named = i == 0,
           .peak_bytes = peak,
           .step_ns = time_of("none") + repeated,
           .repeated_ns = repeated});
    }
    for (const std::size_t rung : rungs_of(group.frontier))
      group.frontier[rung].repeated = std::vector<RepeatedPlace>(
          rung == 0 ? 0 : 1, {"blocks.*.mlp gelu", std::min<std::int64_t>(4, std::int64_t(rung)), 4});
    const nlohmann::ordered_json both = {"MLPBlock", "AttentionBlock"};
    for (const auto& [name, value] : {std::pair{"MLPBlock+AttentionBlock", both},
                                      {"TransformerBlock", nlohmann::ordered_json("TransformerBlock")},
                                      {"every-2", nlohmann::ordered_json("every-2")}})
      group.dominated.push_back({.value = name,
                                 .named = true,
                                 .peak_bytes = planned_as(value).predicted_peak,
                                 .step_ns = time_of(value),
                                 .repeated_ns = time_of(value) - time_of("none"),
                                 .dominated_by = group.frontier.back().value});
    const double ms = 1e6;
    group.prices = {{"blocks.*.mlp.norm y", 4 << 20, 0, ""},
                    {"blocks.*.mlp g", 16 << 20, 0.4 * ms, ""},
                    {"MLPBlock", 30 << 20, 9 * ms, ""},
                    {"TransformerBlock", 42 << 20, 30 * ms, ""},
                    {"blocks.*.mlp.up y", 8 << 20, 9 * ms, "blocks.*.mlp g"},
                    {"attention", 0, 6 * ms, "blocks.*.mlp.norm y"}};
    return group;
  }

  [[nodiscard]] Choices choices_of_cells() const {
    Choices choices{.times_of = "roofline of the simulated machine"};
    for (const char* precision : {"fp32", "bf16"}) {
      for (const int accumulation : {1, 4}) {
        ChoiceGroup group = group_of(precision, accumulation);
        for (std::size_t i = 0; i < cells.size(); ++i)
          if (cells[i].precision == precision && cells[i].accumulation == accumulation)
            group.cells.push_back(id_of(cells[i], static_cast<int>(i)));
        choices.groups.push_back(std::move(group));
      }
    }
    const std::int64_t gb = 1'000'000'000;
    choices.cards =
        std::vector<CardMemory>{{"small", "Small 24GB", 24 * gb, gb, true}, {"large", "Large 80GB", 80 * gb, gb, true}};
    return choices;
  }

  static Calibration calibration() {
    Calibration c{.key = {"simulated two-core machine", 2, "2.6.3", "native", "native"},
                  .time = "2026-01-05T09:29:00Z",
                  .seconds = 2.1};
    c.matmuls = {{"fp32", "forward", 1024, 1024, 256, rate_of({520e9, 518e9, 509e9})},
                 {"bf16", "forward", 1024, 1024, 256, rate_of({860e9, 854e9, 840e9})}};
    c.bandwidths = {{65'536, "triad", rate_of({420e9, 415e9, 410e9})},
                    {1 << 24, "copy", rate_of({180e9, 178e9, 175e9})},
                    {1 << 28, "read", rate_of({30e9, 29e9, 27e9})}};
    return c;
  }

  void write_failures(const std::filesystem::path& folder) const {
    const auto add = [&](SyntheticCell cell, int number, Outcome outcome, const std::string& reason) {
      Record plan = planned(cell, number);
      if (outcome == Outcome::does_not_fit) plan.bytes.predicted_peak = plan.bytes.state + 40'000'000'000;
      plan.outcome = outcome;
      plan.reason = reason;
      const std::filesystem::path at = folder / "cells" / plan.id;
      std::filesystem::create_directories(at);
      std::vector<Visit> visits;
      if (outcome == Outcome::crashed)
        visits.push_back({.cell = plan.id, .round = 1, .outcome = outcome, .reason = reason});
      for (const Visit& visit : visits) write_visit(at / "visit-0.json", visit);
      write_record(at / "record.json", record_of(plan, visits));
    };
    const int first = static_cast<int>(cells.size());
    add({"bf16", "none", 2}, first, Outcome::crashed, "signal 11 (segmentation fault) in timed step 4");
    add({"fp32", "none", 64}, first + 1, Outcome::does_not_fit, "predicted 37.3 GiB, this machine has 15.6 GiB");
    add({"fp32", "every-2", 8}, first + 2, Outcome::skipped,
        "excluded by precision = \"fp32\", checkpointing = \"every-2\"");
  }

  void write_environment(const std::filesystem::path& folder) const {
    const nlohmann::ordered_json environment{
        {"schema", "stepscope.environment/1"},
        {"model", "seed-small: 4 layers, hidden 256, 4 heads, sequence 128, vocabulary 256"},
        {"data", "text kjv.txt, by bytes"},
        {"time", "2026-01-05 09:30 UTC"},
        {"command", "stepscope run harness/matrices/demo.toml --out runs/demo"},
        {"version", "0.1.0"},
        {"commit", "simulated"},
        {"cpu", {{"name", "simulated two-core machine"}, {"threads", 2}, {"native", {"fp32", "bf16"}}}},
        {"memory_bytes", 16'750'372'454},
        {"libraries", {{"oneDNN", "2.6.3"}, {"compiler", "g++ 12.2"}}}};
    std::ofstream(folder / "environment.json") << environment.dump(2) << "\n";
    std::ofstream(folder / "matrix.toml")
        << "[model]\npreset = \"seed-small\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\n"
           "checkpointing = [\"none\", [\"MLPBlock\", \"AttentionBlock\"], \"TransformerBlock\", \"every-2\"]\n"
           "accumulation = [1, 4]\n[measure]\nrounds = 3\n";
  }
};

}  // namespace stepscope
