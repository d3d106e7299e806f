// A matrix file, read and multiplied out. The only place that knows TOML.
//     Assignments overrides = overrides_of({"layers=2", "checkpointing=[\"MLPBlock\"]"}, "", "text:kjv.txt");
//     const Matrix matrix = read_matrix("demo.toml", overrides);      // or matrix_of(overrides) without a file: one cell
// Every mistake is a UsageError of one line: FILE:LINE: section.key = VALUE: what would be right.
#pragma once

#include <string>
#include <vector>

#include "harness/cell.h"

namespace stepscope {

inline constexpr std::int64_t largest_matrix = 10'000;  // cells

struct Matrix {
  std::string file;  // as it was given; "" without one
  std::string text;  // as it is
  std::vector<MatrixCell> cells;  // in the file's order, each once; excluded ones too
  MeasureSettings measure;
  std::vector<Match> learning;  // the cells that learn; empty: the runner chooses

  [[nodiscard]] const MatrixCell& cell(const std::string& id) const;  // UsageError with the nearest id
};

[[nodiscard]] Assignments overrides_of(const std::vector<std::string>& sets, const std::string& preset,
                                       const std::string& source, const std::string& hf = "");

[[nodiscard]] Matrix read_matrix(const std::string& file, const Assignments& overrides);
[[nodiscard]] Matrix matrix_of(const Assignments& overrides);

// The matrix whose cells these are, all of one model and training: its text gives them again. `file`: what it will be called.
[[nodiscard]] Matrix matrix_of_cells(const Configuration& base, const std::vector<MatrixCell>& cells,
                                     const std::string& file);

// A matrix file of this one cell, with every field written out: what a worker reads, and a person repeats.
[[nodiscard]] std::string to_toml(const Configuration& configuration);

}  // namespace stepscope
