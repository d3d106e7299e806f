// What a program costs before it runs: FLOPs and bytes of each operation, and the time a card would need for them.
// The structs are plain: profiles/ fills them from card files and calibrations, tests fill them by hand.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/program/operation.h"
#include "model/program/program.h"

namespace stepscope {

// Arrays of `bytes` together, gone over again and again by every core, move at this rate: those that a cache holds, faster.
struct BandwidthLevel {
  std::int64_t bytes = 0;
  double bandwidth = 0;  // bytes/s
};

struct Card {  // what a device can do at most; dense peaks only
  std::string name;
  double fp32_flops = 0, tf32_flops = 0, bf16_flops = 0, fp16_flops = 0;  // FLOP/s, 0 = not known
  double bandwidth = 0;  // of its memory, bytes/s; 0 = not known
  double host_bandwidth = 0;  // bytes/s, one direction, 0 = not known
  std::vector<BandwidthLevel> levels = {};  // ascending in bytes; empty: memory alone counts
  std::int64_t memory_bytes = 0;  // of the device
  std::int64_t context_bytes = 0;  // taken before the first allocation
};

// Of a machine that nothing is known of: a matmul does 16 operations while memory moves a byte, in narrow types twice as many. Only
// which of two operations takes longer follows from it, never a time.
[[nodiscard]] inline Card balanced_rates() {
  return {.name = "16 operations a byte, as nothing was measured",
          .fp32_flops = 16e11,
          .tf32_flops = 32e11,
          .bf16_flops = 32e11,
          .fp16_flops = 32e11,
          .bandwidth = 1e11};
}

class SimulatedCard;

struct Machine {  // what a program is lowered to
  enum class Kind { cpu, cuda } kind = Kind::cpu;
  std::string name;
  int threads = 1;
  bool native_bf16 = false;  // multiplies bf16 by itself; else widened into a planned fp32 workspace
  bool native_fp16 = false;  // likewise fp16
  bool tf32 = false;  // multiplies fp32 rounded to 11 bits in tensor cores
  std::int64_t memory_bytes = 0;  // physical
  std::int64_t context_bytes = 0;  // taken of it before the first allocation
  bool copies_states = false;  // they are held twice while used bytes are measured
  Card rates = balanced_rates();  // how fast it is known to be: what a byte budget weighs repeats by
  bool has_kernels = false;  // a card that this program drives: workspaces are those of its kernels
  int card = 0;  // where it has kernels: which card, as CUDA counts them
  SimulatedCard* simulation = nullptr;  // lives as long as the process; null: what runs is real
};

// Whether it multiplies numbers of this type as they are, without widening them first.
[[nodiscard]] bool multiplies(const Machine& machine, DType dtype);

using OperationTimes = std::vector<double>;  // ns, by operation

// Every operand and output once, at its view's size; a write that adds also reads, one that adds to earlier micro-steps not in
// micro-step 0.
[[nodiscard]] OperationCost cost_of(const Program& program, const Operation& operation, int micro_step = 1);

struct StepFlops {  // of one optimizer step: all micro-steps
  std::int64_t model =
      0;  // forward and backward without repeats, causal attention half, fused backward's repeat of scores left out
  std::int64_t launched = 0;  // what the operations do, repeats included, causal attention half
  std::int64_t recomputed = 0;  // the part of launched in phase recompute
};
[[nodiscard]] StepFlops step_flops(const Program& program);

[[nodiscard]] double peak_of(const Card& card, DType multiplied);  // FLOP/s; 0 = not known
// At least so long does an operation take that moves so many bytes. Where levels are known: caches faster than level k hold less
// than its arrays, so that what is beyond those bytes comes at its rate at most; the slowest such statement counts.
[[nodiscard]] double memory_floor_ns(const Card& card, double bytes);

// Roofline: the greater of FLOPs by peak and bytes by bandwidth, ns.
[[nodiscard]] double roofline_ns(const Program& program, const Operation& operation, const Card& card, int micro_step);
// An operation at a time, one micro-step of each: a later one where there are several. A copy between memories takes what the step waits
// for it (copy_schedule.h); where the link's rate is not known, as long as memory takes for its bytes.
[[nodiscard]] OperationTimes roofline_times(const Program& program, const Card& card);
// The sum over a whole step: micro operations count micro_steps times.
[[nodiscard]] double step_time_ns(const Program& program, const OperationTimes& times);

}  // namespace stepscope
