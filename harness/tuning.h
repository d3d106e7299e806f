// Algorithms of a card's matmuls: measured once for all cells of a matrix, by a process of its own before the first visit, then read.
//     tune_matmuls(matrix, machine, run / "tuning.json", heartbeat);             // `stepscope tune`, which `run` starts
//     Session session(cell, machine, {.tuning = tuning_for(machine, run / "tuning.json")});
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "harness/matrix.h"
#include "model/cuda/matmul_tuning.h"
#include "model/program/cost.h"

namespace stepscope {

struct TuneEnd {
  std::size_t matmuls = 0, measured = 0;  // of the cells; of those, now
};

// Adds to the file what it lacks of this card and library for the matrix's cells and their references; those that do not run there are
// left out. `alive` is called after each matmul. Throws UsageError for a broken file, Unsupported where there is no card.
TuneEnd tune_matmuls(const Matrix& matrix, const Machine& machine, const std::filesystem::path& file,
                     const std::function<void()>& alive);

// Null: a CPU, no file, or none of this card and library in it. Throws UsageError for a broken file.
[[nodiscard]] std::shared_ptr<const MatmulTuning> tuning_for(const Machine& machine, const std::filesystem::path& file);
// The same of a file that was asked for: UsageError also where it is not there, or has nothing of this card and library. "": null.
[[nodiscard]] std::shared_ptr<const MatmulTuning> tuning_asked_for(const Machine& machine, const std::string& file);

}  // namespace stepscope
