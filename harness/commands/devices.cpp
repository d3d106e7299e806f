// stepscope devices: what is here to train on, what it can do at most, and which cards are known by name.
#include <fmt/format.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/calibrate.h"
#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/disturbance.h"
#include "model/base/error.h"
#include "model/cuda/machine.h"
#include "profiles/cards.h"
#include "profiles/ranges.h"
#include "reports/format.h"

namespace stepscope {

namespace {

struct DevicesCommand {
  bool json = false, calibrate = false, cards = false;
  int threads = 0;
};

std::string gflops(double flops) { return fmt::format("{:.1f}", flops * 1e-9); }
std::string percent(const Rate& rate) { return fmt::format("{:.0f} %", 100 * (1 - rate.median / rate.best)); }

void print_cards(bool json) {
  if (!json)
    fmt::print("{:<14} {:>10} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6}\n", "card", "memory", "context",
               "libraries", "graph", "fp32", "tf32", "bf16", "fp16", "GB/s", "host");
  for (const CardFile& file : known_cards()) {
    const Card& c = file.card;
    if (json) {
      nlohmann::ordered_json line{{"schema", "stepscope.card/1"}, {"name", c.name}, {"title", file.title}};
      for (const CardFigure& figure : file.figures)
        line[figure.key] = {{"value", figure.value}, {"basis", figure.basis}, {"source", figure.source}};
      fmt::print("{}\n", line.dump());
      continue;
    }
    const auto tera = [](double flops) { return flops > 0 ? fmt::format("{:.1f}", flops * 1e-12) : "-"; };
    const auto size = [&](const char* key) {
      const CardFigure* figure = file.figure(key);
      return figure == nullptr || figure->value == 0 ? "-" : format_bytes(figure->value);
    };
    fmt::print("{:<14} {:>10} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7} {:>6.0f} {:>6}\n", c.name, size("memory_bytes"),
               size("context_bytes"), size("library_bytes"), size("graph_bytes"), tera(c.fp32_flops),
               tera(c.tf32_flops), tera(c.bf16_flops), tera(c.fp16_flops), c.bandwidth * 1e-9,
               c.host_bandwidth > 0 ? fmt::format("{:.0f}", c.host_bandwidth * 1e-9) : "-");
  }
  if (!json)
    fmt::print(
        "peaks in TFLOP/s, dense, with sums in fp32; host: of the link to host memory, one direction, GB/s; context, "
        "libraries and graph count beside a step and are "
        "estimates\n(-: not counted). Where each figure is from: --json, or profiles/cards/NAME.toml\n");
}

void print_rates(const Calibration& calibration) {
  fmt::print("{:<6} {:<24} {:>18} {:>10} {:>10} {:>9}\n", "type", "matmul", "m x n x k", "GFLOP/s", "median", "below");
  for (const MatmulRate& m : calibration.matmuls)
    fmt::print("{:<6} {:<24} {:>18} {:>10} {:>10} {:>9}\n", m.dtype, m.how, fmt::format("{} x {} x {}", m.m, m.n, m.k),
               gflops(m.flops_per_second.best), gflops(m.flops_per_second.median), percent(m.flops_per_second));
  fmt::print("{:<6} {:<24} {:>18} {:>10} {:>10} {:>9}\n", "bytes", "fastest of read copy triad", "gone over", "GB/s",
             "median", "below");
  for (const BandwidthRate& b : calibration.bandwidths)
    fmt::print("{:<6} {:<24} {:>18} {:>10} {:>10} {:>9}\n", "", b.how, format_bytes(static_cast<double>(b.bytes)),
               gflops(b.bytes_per_second.best), gflops(b.bytes_per_second.median), percent(b.bytes_per_second));
}

// Every card that a program could run on, and why there is none.
std::string for_each_card(const std::function<void(const Machine&)>& each) {
  for (int card = 0;; ++card) {
    try {
      each(this_card(card));
    } catch (const Unsupported& error) {
      return card == 0 ? error.what() : "";
    }
  }
}

void print_cards_here() {
  const std::string why_none = for_each_card([](const Machine& card) {
    fmt::print("gpu   cuda:{}: {}, {}, {} of it taken before a step begins\n", card.card, card.name,
               format_bytes(static_cast<double>(card.memory_bytes)),
               format_bytes(static_cast<double>(card.context_bytes)));
  });
  if (!why_none.empty()) fmt::print("gpu   none: {}\n", why_none);
}

void print_card_json(const Machine& card) {
  const nlohmann::ordered_json line{{"schema", "stepscope.device/1"},
                                    {"kind", "cuda"},
                                    {"name", card.name},
                                    {"number", card.card},
                                    {"memory_bytes", card.memory_bytes},
                                    {"context_bytes", card.context_bytes}};
  fmt::print("{}\n", line.dump());
}

void print_machine(const Machine& machine, const KeptCalibration& kept) {
  fmt::print("cpu   {}\n", machine.name);
  fmt::print("      {} threads, {} of memory", machine.threads,
             format_bytes(static_cast<double>(machine.memory_bytes)));
  if (const std::optional<std::int64_t> bytes = resident_bytes())
    fmt::print(", {} of it this process's own (measured)", format_bytes(static_cast<double>(*bytes)));
  fmt::print("\n");
  fmt::print("      fp32 native, bf16 {}, fp16 {}\n",
             machine.native_bf16 ? "native" : "widened to fp32: its times say nothing about bf16",
             machine.native_fp16 ? "native" : "widened to fp32: its times say nothing about fp16");
  if (kept.calibration) {
    const Card card = card_of(*kept.calibration);
    fmt::print(
        "      at most: matmuls fp32 {} GFLOP/s, bf16 {} GFLOP/s; bytes {} GB/s from memory, {} GB/s from the "
        "first caches\n",
        gflops(card.fp32_flops), gflops(card.bf16_flops), gflops(card.bandwidth),
        gflops(card.levels.front().bandwidth));
    fmt::print("      calibrated {} in {:.1f} s: {}\n", kept.calibration->time, kept.calibration->seconds,
               calibration_file(machine).string());
    if (was_busy(*kept.calibration))
      fmt::print("      the machine was busy with other work then; calibrate again when it is not\n");
  } else {
    fmt::print("      {}\n", kept.note);
  }
  print_cards_here();
  fmt::print("nvtx  {}\n", Ranges::built()
                               ? "ranges of every step for Nsight Systems: nsys profile -t nvtx stepscope ..."
                               : "none: built without NVTX, its headers were not found");
}

nlohmann::ordered_json json_of(const Machine& machine, const KeptCalibration& kept) {
  nlohmann::ordered_json line{{"schema", "stepscope.device/1"},
                              {"kind", "cpu"},
                              {"name", machine.name},
                              {"threads", machine.threads},
                              {"memory_bytes", machine.memory_bytes},
                              {"process_bytes", resident_bytes().value_or(0)},
                              {"native_bf16", machine.native_bf16},
                              {"native_fp16", machine.native_fp16},
                              {"nvtx_ranges", Ranges::built()},
                              {"calibration", nullptr}};
  if (!kept.calibration) return line;
  line["calibration"] = summary_of(*kept.calibration);
  line["calibration"]["file"] = calibration_file(machine).string();
  return line;
}

void devices(const DevicesCommand& command) {
  if (command.cards) return print_cards(command.json);
  const Machine machine = machine_of(command.threads);
  if (command.calibrate) {
    const Calibration calibration = calibrate(machine);
    keep_calibration(machine, calibration);
    if (!command.json) print_rates(calibration);
  }
  const KeptCalibration kept = kept_calibration(machine);
  if (!command.json) return print_machine(machine, kept);
  fmt::print("{}\n", json_of(machine, kept).dump());
  (void)for_each_card(print_card_json);
}

}  // namespace

void add_devices(CLI::App& app) {
  auto command = std::make_shared<DevicesCommand>();
  CLI::App& sub = *app.add_subcommand("devices", "what is here: processor, memory, native precisions, measured peaks");
  CLI::Option* calibrate =
      sub.add_flag("--calibrate", command->calibrate,
                   "measure what matmuls and bytes reach at most (a few seconds); kept in the user's cache folder");
  sub.add_flag("--cards", command->cards, "the cards that plan --card knows by name")->excludes(calibrate);
  add_json_option(sub, command->json);
  add_threads_option(sub, command->threads);
  sub.callback([command] { devices(*command); });
}

}  // namespace stepscope
