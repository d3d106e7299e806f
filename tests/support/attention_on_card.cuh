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
void expect_within(const char* what, const std::vector<double>& got, const std::vector<Bounded>& expected);

class AttentionOnCard {
 public:
  // shifted_bytes: by so much each operand of numbers misses its alignment. attention only. Of the batch each micro-step has its share.
  explicit AttentionOnCard(const AttentionCase& c, std::int64_t shifted_bytes = 0);
  [[nodiscard]] bool takes_tensor_cores() const;
  void run_forward(int micro_step = 0);
  void run(int micro_step = 0);  // and backward, from the o and lse of forward

  std::vector<double> qkv, dout, o, lse, dqkv, delta;

 private:
  [[nodiscard]] CudaBinding binding_of(const Operation& op) const;
  void begin(int micro_step);
  [[nodiscard]] std::byte* at(ValueId value) const;
  void put(ValueId value, const std::vector<double>& numbers) const;
  [[nodiscard]] std::vector<double> get(ValueId value) const;
  void issue(const Operation& op) const;

  AttentionCase case_;
  int micro_step_ = 0;
  CaseProgram made_;
  Stream stream_;
  MatmulLibrary matmuls_;
  CudnnLibrary cudnn_;
  std::int64_t shifted_bytes_;
  std::vector<DeviceMemory> values_, states_;
  DeviceMemory control_;
};

}  // namespace stepscope::testing
