#include "reports/calibration.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/base/file.h"
#include "reports/calibration_fields.h"
#include "reports/statistics.h"

namespace stepscope {

void fields(auto& field, Of<Rate> auto& rate) {
  field("best", rate.best);
  field("median", rate.median);
  field("worst", rate.worst);
  field("repeats", rate.repeats);
}
void fields(auto& field, Of<MatmulRate> auto& matmul) {
  field("dtype", matmul.dtype);
  field("how", matmul.how);
  field("m", matmul.m);
  field("n", matmul.n);
  field("k", matmul.k);
  field("flops_per_second", matmul.flops_per_second);
}
void fields(auto& field, Of<BandwidthRate> auto& bandwidth) {
  field("bytes", bandwidth.bytes);
  field("how", bandwidth.how);
  field("bytes_per_second", bandwidth.bytes_per_second);
}
void fields(auto& field, Of<Calibration> auto& calibration) {
  field("key", calibration.key);
  field("time", calibration.time);
  field("seconds", calibration.seconds);
  field("matmuls", calibration.matmuls);
  field("bandwidths", calibration.bandwidths);
}

Rate rate_of(std::vector<double> repeats) {
  const auto [worst, best] = std::minmax_element(repeats.begin(), repeats.end());
  return {.best = *best, .median = median_of(repeats), .worst = *worst, .repeats = static_cast<int>(repeats.size())};
}

Card card_of(const Calibration& calibration) {
  Card card{.name = calibration.key.processor};
  for (const MatmulRate& matmul : calibration.matmuls) {
    double& peak = matmul.dtype == "bf16"   ? card.bf16_flops
                   : matmul.dtype == "fp16" ? card.fp16_flops
                                            : card.fp32_flops;
    peak = std::max(peak, matmul.flops_per_second.best);
  }
  if (calibration.key.bf16 == "widened") card.bf16_flops = std::max(card.bf16_flops, card.fp32_flops);
  if (card.fp16_flops == 0) card.fp16_flops = card.fp32_flops;  // measured only where it is native, else it is widened
  for (const BandwidthRate& rate : calibration.bandwidths)
    card.levels.push_back({.bytes = rate.bytes, .bandwidth = rate.bytes_per_second.best});
  for (std::size_t i = card.levels.size(); i-- > 1;)
    card.levels[i - 1].bandwidth = std::max(card.levels[i - 1].bandwidth, card.levels[i].bandwidth);
  if (!card.levels.empty()) card.bandwidth = card.levels.back().bandwidth;
  return card;
}

nlohmann::ordered_json summary_of(const Calibration& calibration) {
  const Card card = card_of(calibration);
  return {{"time", calibration.time},
          {"seconds", calibration.seconds},
          {"fp32_flops_per_second", card.fp32_flops},
          {"bf16_flops_per_second", card.bf16_flops},
          {"memory_bytes_per_second", card.bandwidth},
          {"cache_bytes_per_second", card.levels.empty() ? 0 : card.levels.front().bandwidth}};
}

double peak_named(const Card& card, std::string_view precision) {
  if (precision == "fp32") return card.fp32_flops;
  if (precision == "bf16") return card.bf16_flops;
  if (precision == "tf32") return card.tf32_flops;
  return precision == "fp16" ? card.fp16_flops : 0;
}

bool was_busy(const Calibration& calibration) {
  const auto ragged = std::count_if(calibration.matmuls.begin(), calibration.matmuls.end(), [](const MatmulRate& m) {
    return m.flops_per_second.median < 0.8 * m.flops_per_second.best;
  });
  return 2 * ragged > static_cast<std::ptrdiff_t>(calibration.matmuls.size());
}

std::string difference(const CalibrationKey& there, const CalibrationKey& here) {
  const auto one = [](const char* name, const std::string& a, const std::string& b) {
    return a == b ? std::string() : fmt::format("it is of {} {}, here is {}", name, a, b);
  };
  for (const std::string& what : {one("processor", there.processor, here.processor),
                                  one("threads", std::to_string(there.threads), std::to_string(here.threads)),
                                  one("oneDNN", there.onednn, here.onednn), one("-march", there.march, here.march),
                                  one("bf16", there.bf16, here.bf16)})
    if (!what.empty()) return what;
  return "";
}

Calibration read_calibration(const std::filesystem::path& file) {
  const nlohmann::ordered_json json = parse_json_file(file.string());
  require_schema(json, calibration_schema, file.string());
  Calibration calibration;
  read(json, calibration, Place{file.string(), ""});
  constexpr double most = 1e18;
  const auto is_rate = [](double rate) { return rate >= 1 && rate <= most; };
  const bool has_fp32 = std::any_of(calibration.matmuls.begin(), calibration.matmuls.end(),
                                    [](const MatmulRate& matmul) { return matmul.dtype == "fp32"; });
  if (!has_fp32) wrong({file.string(), "matmuls"}, json["matmuls"], "at least one of fp32");
  for (std::size_t i = 0; i < calibration.matmuls.size(); ++i)
    if (!is_rate(calibration.matmuls[i].flops_per_second.best))
      wrong({file.string(), "matmuls"}, json["matmuls"][i], "a best rate of 1 to 1e18 FLOP/s");
  const Place place{file.string(), "bandwidths"};
  if (calibration.bandwidths.empty()) wrong(place, json["bandwidths"], "at least one");
  for (std::size_t i = 0; i < calibration.bandwidths.size(); ++i)
    if (!is_rate(calibration.bandwidths[i].bytes_per_second.best) || calibration.bandwidths[i].bytes < 1 ||
        (i > 0 && calibration.bandwidths[i].bytes <= calibration.bandwidths[i - 1].bytes))
      wrong(place, json["bandwidths"], "rates of 1 to 1e18 bytes a second, ascending in bytes");
  return calibration;
}

void write_calibration(const std::filesystem::path& file, const Calibration& calibration) {
  nlohmann::ordered_json json{{"schema", calibration_schema}};
  json.update(written(calibration));
  write_atomically(file, json.dump(2) + "\n");
}

}  // namespace stepscope
