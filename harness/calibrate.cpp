#include "harness/calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "harness/environment.h"
#include "model/base/error.h"
#include "model/cpu/bandwidth.h"
#include "model/cpu/machine.h"
#include "model/cpu/matmul.h"
#include "model/cpu/threads.h"
#include "model/cpu/widen.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int passes = 2;  // over everything, so that what else the machine does for a while cannot spoil it all
constexpr double time_for_another_pass = 2.8;  // seconds that may have gone: all of it takes less than six
constexpr double matmul_seconds = 0.03;  // for each way and size in a pass
constexpr double bandwidth_seconds = 0.003;  // for each repeat
constexpr int fewest_repeats = 3;
constexpr std::int64_t kib = 1024, mib = 1024 * kib;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, Free>;

Memory memory_of(std::int64_t bytes) {
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(256, static_cast<std::size_t>(round_up(bytes + 1, 256)))));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Numbers of a usual size in the type: subnormal ones would be slow, zeros may be fast.
Memory numbers(std::int64_t count, DType dtype) {
  Memory wide = memory_of(count * 4), narrow = memory_of(count * size_bytes(dtype));
  auto* const floats = reinterpret_cast<float*>(wide.get());
  for (std::int64_t i = 0; i < count; ++i) floats[i] = 0.5F + static_cast<float>(i % 61) / 64.0F;
  if (dtype == DType::fp32) return wide;
  narrow_rows(dtype, floats, count, narrow.get(), count, 1, count);
  return narrow;
}

// Repeats `run`, of so many FLOPs, for a while.
template <class Run>
std::vector<double> matmul_rates(double flops, Run&& run) {
  run();
  std::vector<double> rates;
  for (const Clock::time_point begin = Clock::now();
       seconds_since(begin) < matmul_seconds || static_cast<int>(rates.size()) < fewest_repeats;) {
    const Clock::time_point one = Clock::now();
    run();
    rates.push_back(flops / seconds_since(one));
  }
  return rates;
}

struct Measured {  // one way, and its repeats
  MatmulRate matmul;
  std::vector<double> rates;
};
struct Moved {
  BandwidthRate bandwidth;
  std::vector<double> rates;
};

struct StepMatmul {
  const char* how;
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
};
// A step's own: tokens by features of a layer, its two gradients; and a square that is larger than the caches of a core.
constexpr StepMatmul step_matmuls[] = {{"forward", 1024, 1024, 256},
                                       {"forward", 1024, 256, 1024},
                                       {"forward", 1024, 1024, 1024},
                                       {"input gradient", 1024, 256, 1024, false, true},
                                       {"weight gradient", 256, 1024, 1024, true, false},
                                       {"weight gradient", 1024, 1024, 1024, true, false}};
constexpr std::int64_t squares[] = {256, 384, 512};

double flops_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

Measured measure_tiled(const StepMatmul& shape, DType dtype, const Machine& machine, Threads& threads) {
  const MatmulSpec spec{.m = shape.m,
                        .n = shape.n,
                        .k = shape.k,
                        .transpose_a = shape.transpose_a,
                        .transpose_b = shape.transpose_b,
                        .a_stride = shape.transpose_a ? shape.m : shape.k,
                        .b_stride = shape.transpose_b ? shape.k : shape.n,
                        .c_stride = shape.n,
                        .in = dtype,
                        .out = shape.transpose_a ? DType::fp32 : dtype};
  const Memory a = numbers(shape.m * shape.k, dtype), b = numbers(shape.k * shape.n, dtype);
  const Memory c = memory_of(shape.m * shape.n * 4), workspace = memory_of(matmul_workspace(spec, machine));
  const Matmul matmul(spec, machine);
  std::vector<double> rates = matmul_rates(flops_of(shape.m, shape.n, shape.k), [&] {
    matmul.run(threads, {.a = a.get(), .b = b.get(), .c = c.get(), .workspace = workspace.get()});
  });
  return {{std::string(name_of(dtype)), shape.how, shape.m, shape.n, shape.k, {}}, std::move(rates)};
}

// oneDNN without our tiles: every thread a square of its own, all at once, each timed by itself. The threads' best times together
// are a repeat too: where other work takes a processor now and then, no moment is good for all of them.
Measured measure_squares(std::int64_t side, DType dtype, Threads& threads) {
  const auto tile = TileMatmul::get({.m = side,
                                     .n = side,
                                     .k = side,
                                     .a_stride = side,
                                     .b_stride = side,
                                     .c_stride = side,
                                     .in = dtype,
                                     .out = dtype});
  struct Own {
    TileMatmul::Call call;
    Memory a, b, c, scratch;
    double rate = 0, best = 0;
  };
  std::vector<Own> own;
  for (int i = 0; i < threads.count(); ++i)
    own.push_back({TileMatmul::Call(tile), numbers(side * side, dtype), numbers(side * side, dtype),
                   memory_of(side * side * 4), memory_of(tile->scratch_bytes())});
  constexpr int times = 4;
  const auto all = [&] {
    threads.parallel_for(threads.count(), [&](std::int64_t i) {
      Own& mine = own[static_cast<std::size_t>(i)];
      const Clock::time_point begin = Clock::now();
      for (int t = 0; t < times; ++t)
        mine.call.run(mine.a.get(), mine.b.get(), mine.c.get(), nullptr, mine.scratch.get());
      mine.rate = times * flops_of(side, side, side) / seconds_since(begin);
      mine.best = std::max(mine.best, mine.rate);
    });
  };
  all();
  std::vector<double> rates;
  for (const Clock::time_point begin = Clock::now();
       seconds_since(begin) < matmul_seconds || static_cast<int>(rates.size()) < fewest_repeats;) {
    all();
    rates.push_back(0);
    for (const Own& mine : own) rates.back() += mine.rate;
  }
  rates.push_back(0);
  for (const Own& mine : own) rates.back() += mine.best;
  return {{std::string(name_of(dtype)), "one primitive a thread", side, side, side, {}}, std::move(rates)};
}

std::vector<Moved> measure_bandwidth(BandwidthProbe& probe, std::int64_t bytes, bool cached) {
  using Traffic = BandwidthProbe::Traffic;
  std::vector<Moved> ways;
  for (const auto& [traffic, name] :
       {std::pair{Traffic::read, "read"}, {Traffic::copy, "copy"}, {Traffic::triad, "triad"}}) {
    ways.push_back({{.bytes = bytes, .how = name}, {}});
    for (int i = 0; i < (cached ? fewest_repeats : 2 * fewest_repeats); ++i) {
      const BandwidthProbe::Rates rates = probe.rates(traffic, bytes, bandwidth_seconds);
      ways.back().rates.push_back(cached ? rates.summed : rates.together);
    }
  }
  return ways;
}

std::vector<Measured> measure_matmuls(const Machine& machine, Threads& threads) {
  std::vector<Measured> ways;
  for (const DType dtype : {DType::fp32, DType::bf16, DType::fp16}) {
    if (dtype == DType::fp16 && !machine.native_fp16) continue;
    for (const StepMatmul& shape : step_matmuls) ways.push_back(measure_tiled(shape, dtype, machine, threads));
    if (dtype == DType::bf16 && !machine.native_bf16) continue;
    for (const std::int64_t side : squares) ways.push_back(measure_squares(side, dtype, threads));
  }
  return ways;
}

std::vector<Moved> measure_bandwidths(BandwidthProbe& probe, const std::vector<std::int64_t>& sizes, int threads) {
  std::vector<Moved> ways;
  for (const std::int64_t bytes : sizes)
    for (Moved& way : measure_bandwidth(probe, bytes, 2 * bytes <= last_cache_bytes(threads)))
      ways.push_back(std::move(way));
  return ways;
}

// The repeats of another pass join those of the first.
template <class Way>
void join(std::vector<Way>& ways, std::vector<Way> more) {
  if (ways.empty()) return void(ways = std::move(more));
  for (std::size_t i = 0; i < ways.size(); ++i)
    ways[i].rates.insert(ways[i].rates.end(), more[i].rates.begin(), more[i].rates.end());
}

// Of each size the fastest way.
std::vector<BandwidthRate> fastest_of(const std::vector<Moved>& ways) {
  std::vector<BandwidthRate> fastest;
  for (const Moved& way : ways) {
    BandwidthRate rate = way.bandwidth;
    rate.bytes_per_second = rate_of(way.rates);
    if (fastest.empty() || fastest.back().bytes != rate.bytes)
      fastest.push_back(rate);
    else if (rate.bytes_per_second.best > fastest.back().bytes_per_second.best)
      fastest.back() = rate;
  }
  return fastest;
}

// Doubling from what lies in the first caches to well beyond the last one.
std::vector<std::int64_t> sizes_to_measure(const Machine& machine) {
  const std::int64_t beyond = std::clamp(8 * last_cache_bytes(machine.threads), 128 * mib, machine.memory_bytes / 8);
  std::vector<std::int64_t> sizes;
  for (std::int64_t bytes = 16 * kib * machine.threads; bytes < beyond; bytes *= 2) sizes.push_back(bytes);
  sizes.push_back(beyond);
  return sizes;
}

// "AMD EPYC 9354" -> "amd-epyc-9354"
std::string file_name_of(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool keeps = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
    const bool upper = c >= 'A' && c <= 'Z';
    if (keeps || upper)
      name += upper ? static_cast<char>(c - 'A' + 'a') : c;
    else if (!name.empty() && name.back() != '-')
      name += '-';
  }
  return name;
}

}  // namespace

CalibrationKey calibration_key(const Machine& machine) {
  return {.processor = machine.name,
          .threads = machine.threads,
          .onednn = onednn_version(),
          .march = STEPSCOPE_MARCH,
          .bf16 = machine.native_bf16 ? "native" : "widened"};
}

Calibration calibrate(const Machine& machine) {
  const Clock::time_point begin = Clock::now();
  Calibration calibration{.key = calibration_key(machine), .time = utc_now()};
  Threads threads(machine.threads);
  const std::vector<std::int64_t> sizes = sizes_to_measure(machine);
  BandwidthProbe probe(threads, sizes.back());
  std::vector<Measured> matmuls;
  std::vector<Moved> moved;
  for (int pass = 0; pass < passes && seconds_since(begin) < time_for_another_pass; ++pass) {
    join(matmuls, measure_matmuls(machine, threads));
    join(moved, measure_bandwidths(probe, sizes, machine.threads));
  }
  for (Measured& way : matmuls) {
    way.matmul.flops_per_second = rate_of(std::move(way.rates));
    calibration.matmuls.push_back(std::move(way.matmul));
  }
  calibration.bandwidths = fastest_of(moved);
  calibration.seconds = seconds_since(begin);
  return calibration;
}

fs::path calibration_file(const Machine& machine) {
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  fs::path folder;
  if (cache != nullptr &&
      fs::path(cache).is_absolute())  // a relative one is to be ignored (XDG Base Directory Specification)
    folder = cache;
  else if (home != nullptr && *home != '\0')
    folder = fs::path(home) / ".cache";
  else
    return {};
  return folder / "stepscope" / fmt::format("calibration-{}-{}.json", file_name_of(machine.name), machine.threads);
}

std::filesystem::path file_beside_calibration(const Machine& machine, const std::string& kind) {
  const std::filesystem::path calibration = calibration_file(machine);
  if (calibration.empty()) return {};
  std::string name = calibration.filename().string();
  return calibration.parent_path() / name.replace(0, name.find('-'), kind);
}

void keep_calibration(const Machine& machine, const Calibration& calibration) {
  const fs::path file = calibration_file(machine);
  if (file.empty()) throw UsageError("XDG_CACHE_HOME and HOME are not set: nowhere to keep the calibration");
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error)
    throw UsageError(fmt::format("{}: cannot be made: {}; set XDG_CACHE_HOME to a folder that can be written",
                                 file.parent_path().string(), error.message()));
  write_calibration(file, calibration);
}

KeptCalibration kept_calibration(const Machine& machine) { return calibration_in(calibration_file(machine), machine); }

KeptCalibration calibration_of_run(const fs::path& run, const Machine& machine) {
  const fs::path own = run / "calibration.json";
  std::error_code error;
  if (fs::exists(own, error)) return calibration_in(own, machine);
  KeptCalibration kept = kept_calibration(machine);
  if (kept.calibration &&
      fs::exists(run / "environment.json", error))  // what budgets chose must not change under its cells
    return {std::nullopt, "this run began without a calibration of the machine"};
  return kept;
}

KeptCalibration calibration_in(const fs::path& file, const Machine& machine) {
  constexpr const char* make = "`stepscope devices --calibrate` makes one in a few seconds";
  std::error_code error;
  if (machine.kind == Machine::Kind::cuda) return {std::nullopt, "this version does not calibrate cards"};
  if (file.empty() || !fs::exists(file, error))
    return {std::nullopt, fmt::format("this machine is not calibrated with {} threads; {}", machine.threads, make)};
  try {
    Calibration calibration = read_calibration(file);
    const std::string why = difference(calibration.key, calibration_key(machine));
    if (why.empty()) return {std::move(calibration), ""};
    return {std::nullopt, fmt::format("{} is ignored: {}; {}", file.string(), why, make)};
  } catch (const UsageError& broken) {
    return {std::nullopt, fmt::format("{} is ignored: {}; {}", file.string(), broken.what(), make)};
  }
}

Machine with_rates(Machine machine, const KeptCalibration& kept) {
  if (kept.calibration) machine.rates = card_of(*kept.calibration);
  return machine;
}

}  // namespace stepscope
