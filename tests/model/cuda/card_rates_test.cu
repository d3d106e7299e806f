// What a card does at most: matmuls of each type on random numbers, and copies. With STEPSCOPE_CARD_RATES=FILE it writes what it measured
// (scripts/gpu makes a card file of it); host SIMT runs the same on small sizes, whose times mean nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>

#include "model/base/half.h"
#include "model/cuda/machine.h"
#include "model/cuda/matmul.cuh"
#include "tests/support/on_card.cuh"

namespace stepscope::testing {

namespace {

struct Rates {
  double best = 0, median = 0;
  int repeats = 0;
};

// Work a second of each repeat by the stream's own marks, after two that do not count.
template <class Issue>
Rates rates_of(const Stream& stream, double work, int repeats, const Issue& issue) {
  const StreamMark begin(true), end(true);
  std::vector<double> rates;
  for (int i = -2; i < repeats; ++i) {
    begin.record(stream.get());
    issue();
    end.record(stream.get());
    end.synchronise();
    if (i >= 0) rates.push_back(work / std::max(end.milliseconds_since(begin) / 1e3, 1e-9));
  }
  std::sort(rates.begin(), rates.end());
  return {rates.back(), rates[rates.size() / 2], repeats};
}

// Normal numbers in the type, a block of them again and again: zeros would be multiplied faster than they are in training.
void fill_with_random(const DeviceMemory& memory, DType dtype) {
  std::mt19937 generator(7);
  std::normal_distribution<float> normal;
  const auto width = static_cast<std::size_t>(size_bytes(dtype));
  std::vector<std::byte> block(std::min(memory.bytes(), std::size_t{1} << 22));
  for (std::size_t at = 0; at + width <= block.size(); at += width) {
    const float number = normal(generator);
    const bf16 brain = to_bf16(number);
    const fp16 half = to_fp16(number);
    const void* const from = dtype == DType::fp32   ? static_cast<const void*>(&number)
                             : dtype == DType::bf16 ? static_cast<const void*>(&brain)
                                                    : &half;
    std::memcpy(block.data() + at, from, width);
  }
  for (std::size_t at = 0; at < memory.bytes(); at += block.size())
    STEPSCOPE_CUDA(cudaMemcpy(memory.data() + at, block.data(), std::min(block.size(), memory.bytes() - at),
                              cudaMemcpyHostToDevice));
}

std::string matmul_line(const char* name, DType dtype, bool tf32, std::int64_t side) {
  const MatmulSpec spec{
      .m = side, .n = side, .k = side, .a_stride = side, .b_stride = side, .c_stride = side, .in = dtype, .out = dtype};
  const auto bytes = static_cast<std::size_t>(side * side * size_bytes(dtype));
  const DeviceMemory a(bytes), b(bytes), c(bytes), workspace(static_cast<std::size_t>(matmul_workspace_bytes(spec)));
  fill_with_random(a, dtype);
  fill_with_random(b, dtype);
  const Stream stream;
  const MatmulLibrary library;
  const CudaMatmul matmul(library, spec, tf32,
                          {.a = a.data(), .b = b.data(), .c = c.data(), .workspace = workspace.data()});
  const double flops = 2.0 * static_cast<double>(side) * static_cast<double>(side) * static_cast<double>(side);
  const Rates rates = rates_of(stream, flops, 20, [&] { matmul.issue(stream.get(), false); });
  EXPECT_GT(rates.median, 0);
  EXPECT_TRUE(std::isfinite(rates.best)) << name;
  std::ostringstream line;
  line << R"({"dtype": ")" << name << R"(", "m": )" << side << R"(, "n": )" << side << R"(, "k": )" << side
       << R"(, "flops": )" << rates.best << R"(, "median_flops": )" << rates.median << R"(, "repeats": )"
       << rates.repeats << "}";
  return line.str();
}

std::string copy_line(std::size_t bytes) {
  const DeviceMemory from(bytes), to(bytes);
  fill_with_random(from, DType::fp32);
  const Stream stream;
  const Rates rates = rates_of(stream, 2.0 * static_cast<double>(bytes), 20, [&] {
    STEPSCOPE_CUDA(cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, stream.get()));
  });
  EXPECT_GT(rates.median, 0);
  EXPECT_TRUE(std::isfinite(rates.best));
  std::ostringstream line;
  line << R"({"bytes": )" << bytes << R"(, "bytes_per_second": )" << rates.best << R"(, "median_bytes_per_second": )"
       << rates.median << R"(, "repeats": )" << rates.repeats << "}";
  return line.str();
}

std::string listed(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "[" : ",\n  ") + line;
  return text + "]";
}

}  // namespace

TEST(CardRates, of_matmuls_and_copies_are_measured_by_the_stream_itself) {
  const Machine card = this_card();
  cudaDeviceProp properties{};
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::vector<std::string> matmuls, copies;
  for (const std::int64_t side : is_host_simt ? std::vector<std::int64_t>{16} : std::vector<std::int64_t>{4096, 8192}) {
    matmuls.push_back(matmul_line("bf16", DType::bf16, false, side));
    matmuls.push_back(matmul_line("fp16", DType::fp16, false, side));
    matmuls.push_back(matmul_line("tf32", DType::fp32, true, side));
    matmuls.push_back(matmul_line("fp32", DType::fp32, false, side));
  }
  for (const std::size_t mib : is_host_simt ? std::vector<std::size_t>{1} : std::vector<std::size_t>{1024, 4096})
    copies.push_back(copy_line(mib << 20));
  std::ostringstream text;
  text << R"({"name": ")" << card.name << R"(", "memory_bytes": )" << card.memory_bytes << R"(, "context_bytes": )"
       << card.context_bytes << R"(, "multiprocessors": )" << properties.multiProcessorCount
       << ",\n \"matmuls\": " << listed(matmuls) << ",\n \"copies\": " << listed(copies) << "}\n";
  if (const char* file = std::getenv("STEPSCOPE_CARD_RATES")) std::ofstream(file) << text.str();
}

}  // namespace stepscope::testing
