// RUN/tuning.json: which of cuBLASLt's algorithms each matmul takes, by card and library. Written once by a process of its own, then read.
//     const TuningFile file = read_tuning(run / "tuning.json");
//     if (const MatmulTuning* tuning = file.of("GPU-5a6b...", 130100)) ...
// A card that the file does not know, or another library, has no tuning in it: its algorithms mean nothing elsewhere. Reading throws
// UsageError as record.h does: another schema, a key or value that is wrong, a card or signature that is there twice.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/cuda/matmul_tuning.h"

namespace stepscope {

inline constexpr std::string_view tuning_schema = "stepscope.tuning/1";

struct TuningFile {
  std::vector<MatmulTuning> cards = {};
  [[nodiscard]] const MatmulTuning* of(std::string_view card, std::int64_t library) const;  // null: none
  void put(MatmulTuning tuning);  // in the place of what there is of its card and library
};

[[nodiscard]] TuningFile read_tuning(const std::filesystem::path& file);
void write_tuning(const std::filesystem::path& file, const TuningFile& tuning);  // atomically

}  // namespace stepscope
