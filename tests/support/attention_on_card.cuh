// An attention and its gradient on a card, or on host SIMT, beside the CPU machine and plain loops, or by themselves on any
// numbers.
//     expect_attention_of_plain_loops({.name = "causal", .sequence = 70, .width = 64, .causal = true});
//     AttentionOnCard card(c);   card.qkv[0] = NaN;   card.run();   card.o, card.dqkv         // numbers of the first micro-step
#pragma once

#include "model/base/half.h"
#include "model/cuda/handles.cuh"
#include "model/operations/list_cuda.cuh"
#include "tests/support/attention_case.h"

namespace stepscope::testing {

void expect_attention_of_plain_loops(const AttentionCase& c);

class AttentionOnCard {
 public:
  // shifted_bytes: by so much each operand of numbers misses its alignment. attention only, of one micro-step.
  explicit AttentionOnCard(const AttentionCase& c, std::int64_t shifted_bytes = 0);
  [[nodiscard]] bool takes_tensor_cores() const;
  void run_forward();
  void run();  // and backward, from the o and lse of forward

  std::vector<double> qkv, dout, o, lse, dqkv, delta;

 private:
  [[nodiscard]] CudaBinding binding_of(const Operation& op) const;
  [[nodiscard]] std::byte* at(ValueId value) const;
  void put(ValueId value, const std::vector<double>& numbers) const;
  [[nodiscard]] std::vector<double> get(ValueId value) const;
  void issue(const Operation& op) const;

  AttentionCase case_;
  CaseProgram made_;
  Stream stream_;
  MatmulLibrary matmuls_;
  std::int64_t shifted_bytes_;
  std::vector<DeviceMemory> values_, states_;
  DeviceMemory control_;
};

}  // namespace stepscope::testing
