// Small programs of one attention, as it is or materialised, with any mask, and what plain loops say of them.
//     const AttentionCase c{.name = "causal", .sequence = 70, .width = 64, .causal = true};
//     const CaseProgram made = c.make();     c.plain(made, micro_step, qkv, dout).o
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/support/operation_cases.h"
#include "tests/support/plain_attention.h"

namespace stepscope::testing {

struct AttentionCase {
  std::string name;
  std::int64_t sequence = 1, width = 1, heads = 1, kv_heads = 1, batch = 1;
  DType dtype = DType::bf16, probabilities = DType::fp32;
  bool causal = false;
  std::vector<double> lengths = {};  // of each of the batch's rows
  int custom = 0;  // 1: one mask for all, 2: one for each row and head; whole tiles of 64 are hidden
  std::int64_t hidden_keys = 0;  // the first so many, by the custom mask from every query
  int micro_steps = 1;
  double deviation = 1;  // of q, k, v
  bool materialised = false;
  bool by_library = false;  // on a card alone

  [[nodiscard]] CaseProgram make() const;
  [[nodiscard]] double scale() const;
  // Of the batch rows of a micro-step, from what the operation was given.
  [[nodiscard]] PlainAttention plain(const CaseProgram& made, int micro_step, std::vector<double> qkv,
                                     std::vector<double> dout) const;
  [[nodiscard]] const OperationKind& kind() const;
  [[nodiscard]] const OperationKind& gradient_kind() const;
};

inline void PrintTo(const AttentionCase& c, std::ostream* out) { *out << c.name; }  // for GoogleTest

[[nodiscard]] const Operation& operation_of(const Program& program, const OperationKind& kind);  // the first

}  // namespace stepscope::testing
