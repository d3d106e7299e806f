// What a run's folder needs beside its records: that one process at a time writes it, no leftovers of killed ones, tables to read.
//     const FolderLock lock("runs/demo");             // UsageError where another process is at work in it
//     remove_temporaries("runs/demo");
//     write_cell_files("runs/demo/cells/ID", visits);
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "reports/visit.h"

namespace stepscope {

// Held until it is destroyed or the process ends, however it ends.
class FolderLock {
 public:
  FolderLock() = default;
  explicit FolderLock(const std::filesystem::path& folder);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  int descriptor_ = -1;
};

// Makes the folder of --out where it is missing. UsageError: it cannot be made, or holds what this command did not put there.
// `mark`: the file that this command writes first; a folder that has it, or nothing, is taken.
void open_out_folder(const std::filesystem::path& folder, const std::string& mark, const std::string& kind);

void remove_temporaries(const std::filesystem::path& folder);  // not those of folders in it

// operations.csv, memory.csv and, of a card, kernels.csv of the last good profiled visit, loss.csv of the last good learning visit; sizes in bytes.
void write_cell_files(const std::filesystem::path& folder, const std::vector<Visit>& visits);

}  // namespace stepscope
