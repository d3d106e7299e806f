// One cell of a matrix: a resolved configuration and its name, which is the same in every matrix and on every machine.
//     MatrixCell cell{.id = cell_id(configuration), .configuration = configuration};   // "bf16-every-2-x4-1a2b3c4d"
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/axes.h"

namespace stepscope {

struct MatrixCell {
  std::string id;
  Configuration configuration;
  std::string excluded_by = {};  // where and by what; empty: not excluded
  bool added = false;  // by the runner, as the reference of others
  std::shared_ptr<const Assignments> given = {};  // where each field was given: for errors found later
};

// Values that must all be equal, each compared whole.
struct Match {
  std::string where;
  Assignments values;
  [[nodiscard]] bool matches(const Configuration& configuration) const;
  [[nodiscard]] std::string describe() const;  // "precision = fp32, checkpointing = every-2"
};

// One line a field, "training.clip = 0": everything that decides what a cell computes. The folder that a text or a
// Hugging Face folder lies in is left out.
[[nodiscard]] std::string canonical_text(const Configuration& configuration);

// Techniques and what deviates from the preset, then 8 hexadecimal digits of the hash of canonical_text. Safe as a file name, at most
// 80 characters.
[[nodiscard]] std::string cell_id(const Configuration& configuration);

// "models/gpt2/" is gpt2; "" is none.
[[nodiscard]] std::string name_of_folder(const std::string& folder);

// The cell that numerics are held against: the same mathematics with every technique off and nothing rounded.
[[nodiscard]] Configuration reference_of(Configuration configuration);

}  // namespace stepscope
