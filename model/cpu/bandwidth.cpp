#include "model/cpu/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <new>
#include <string>

#include "model/cpu/threads.h"

namespace stepscope {
namespace {

constexpr std::int64_t block = 64;  // floats; every part of an array is a multiple of it
using Clock = std::chrono::steady_clock;

// Nothing of a sweep may be left out because the next one does it again.
void keep(const float* memory) { asm volatile("" : : "r"(memory) : "memory"); }

void read_part(const float* a, std::int64_t count) {
  float sums[block] = {};
  for (std::int64_t i = 0; i < count; i += block)
    for (std::int64_t j = 0; j < block; ++j) sums[j] += a[i + j];
  keep(sums);
}

void copy_part(const float* __restrict a, float* __restrict b, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += block)
    for (std::int64_t j = 0; j < block; ++j) b[i + j] = a[i + j] * 0.5F;  // a plain copy would become memmove
}

void triad_part(const float* __restrict a, const float* __restrict b, float* __restrict c, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += block)
    for (std::int64_t j = 0; j < block; ++j) c[i + j] = a[i + j] + 0.5F * b[i + j];
}

int arrays_of(BandwidthProbe::Traffic traffic) { return static_cast<int>(traffic) + 1; }

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

}  // namespace

void BandwidthProbe::Free::operator()(float* memory) const { std::free(memory); }

BandwidthProbe::BandwidthProbe(Threads& threads, std::int64_t largest_bytes)
    : threads_(threads), own_seconds_(static_cast<std::size_t>(threads.count())) {
  stride_ = (largest_bytes / 4 / threads.count() / block + 3) * block;
  memory_.reset(static_cast<float*>(
      std::aligned_alloc(block * 4, static_cast<std::size_t>(stride_ * threads.count()) * sizeof(float))));
  if (memory_ == nullptr) throw std::bad_alloc();
  threads_.parallel_for(threads_.count(),
                        [&](std::int64_t part) { std::fill_n(memory_.get() + part * stride_, stride_, 0.25F); });
}

void BandwidthProbe::sweep(Traffic traffic, std::int64_t floats_a_thread, std::int64_t sweeps) {
  const std::int64_t count = floats_a_thread / arrays_of(traffic) / block * block;
  threads_.parallel_for(threads_.count(), [&](std::int64_t part) {
    float* const a = memory_.get() + part * stride_;
    const Clock::time_point begin = Clock::now();
    for (std::int64_t i = 0; i < sweeps; ++i) {
      switch (traffic) {
        case Traffic::read: read_part(a, count); break;
        case Traffic::copy: copy_part(a, a + count, count); break;
        case Traffic::triad: triad_part(a, a + count, a + 2 * count, count); break;
      }
      keep(a);
    }
    own_seconds_[static_cast<std::size_t>(part)] = seconds_since(begin);
  });
}

BandwidthProbe::Rates BandwidthProbe::rates(Traffic traffic, std::int64_t bytes, double seconds) {
  const std::int64_t floats = std::min(bytes / 4 / threads_.count(), stride_);
  const std::int64_t moved = floats / arrays_of(traffic) / block * block * arrays_of(traffic) * 4;  // by a thread
  Clock::time_point begin = Clock::now();
  sweep(traffic, floats, 1);  // fills the caches, and says how many sweeps there is time for
  const auto sweeps = static_cast<std::int64_t>(std::clamp(seconds / seconds_since(begin), 1.0, 1e6));
  begin = Clock::now();
  sweep(traffic, floats, sweeps);
  Rates rates{.together = static_cast<double>(moved * sweeps * threads_.count()) / seconds_since(begin)};
  for (const double own : own_seconds_) rates.summed += static_cast<double>(moved * sweeps) / own;
  return rates;
}

// From the kernel's files: sysconf gives the caches of a whole package on some processors.
std::int64_t last_cache_bytes(int threads) {
  const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index";
  std::int64_t kib = 0;
  int sharing = 1;  // processors of one instance
  for (int index = 0; index < 8; ++index) {
    std::ifstream size(folder + std::to_string(index) + "/size"),
        map(folder + std::to_string(index) + "/shared_cpu_map");
    std::int64_t found = 0;
    if (!(size >> found) || found <= kib) continue;
    kib = found;
    sharing = 0;
    for (char digit = 0; map.get(digit);) {  // the bits of "00000000,000000ff"
      const int value = digit >= '0' && digit <= '9'   ? digit - '0'
                        : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                       : 0;
      sharing += __builtin_popcount(static_cast<unsigned>(value));
    }
    sharing = std::max(sharing, 1);
  }
  return kib * 1024 * ((threads + sharing - 1) / sharing);
}

}  // namespace stepscope
