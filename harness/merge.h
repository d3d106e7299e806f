// Parts of one matrix, measured by several processes or machines of one kind (`run --only`, `run --shard`), made into one run.
//     merge_runs({.parts = {"runs/part-1", "runs/part-2"}, .out = "runs/whole", .command = "stepscope merge ..."});
// Rounds of a part are numbered after those before it, so that a cell's ratio to the reference stays within the part that measured both.
// Throws UsageError, before anything is written, for parts of different programs, matrices, texts or machines, or whose copies of a cell
// compute something else. The new run appears whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace stepscope {

struct MergeRequest {
  std::vector<std::filesystem::path> parts;
  std::filesystem::path out;  // must not be there yet
  std::string command;
};

struct Merged {
  int cells = 0, visits = 0;
};
Merged merge_runs(const MergeRequest& request);

}  // namespace stepscope
