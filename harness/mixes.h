// A mix is a value of every technique: as a cell, in words, as --set takes it, and the values of checkpointing that have names.
//     const MatrixCell cell = cell_with(base, {{"precision", std::string("bf16")}});
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/cell.h"
#include "model/program/program.h"

namespace stepscope {

struct CheckpointingChoice {
  Choice value;  // what checkpointing is set to for it
  KeepSet keep;
};
using CheckpointingChoices = std::function<std::vector<CheckpointingChoice>(const Program& forward)>;
// None, each operation, those without a matmul, blocks and their halves, every-2 to every-8.
[[nodiscard]] std::vector<CheckpointingChoice> named_checkpointing(const Program& forward);

using TechniqueValues = std::map<std::string, Choice>;  // by name, all of them

[[nodiscard]] TechniqueValues technique_values(const Configuration& configuration);

// The cell with these fields changed, techniques or others; throws as resolve does.
[[nodiscard]] MatrixCell cell_with(const MatrixCell& base, const std::map<std::string, Choice>& values);

[[nodiscard]] inline std::int64_t number_of(const Choice& choice) { return std::get<std::int64_t>(choice); }
[[nodiscard]] bool is_budget(const Choice& checkpointing);
// How much a person takes on: techniques that are not off, a budget counted as two, then into how many parts all is cut.
[[nodiscard]] std::pair<int, std::int64_t> burden(const TechniqueValues& values);

// "bf16, recompute MLPBlock+AttentionBlock, 4 micro-batches, logits in 8 chunks"
[[nodiscard]] std::string in_words(const TechniqueValues& values);
// "precision=bf16", for --set: what differs from off, or all.
[[nodiscard]] std::vector<std::string> sets_of(const TechniqueValues& values, bool all = false);

}  // namespace stepscope
