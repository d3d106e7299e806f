// What a process sent to a tool at NVTX's injection point, read back as a tree.
//     const RecordedProcess recorder(folder / "ranges.jsonl");          // until its end, processes that start are recorded
//     run_program({"step", "--preset", "tiny"});
//     const Recording seen = recorder.read();                           // seen.ranges, in the order in which they opened
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stepscope::testing {

struct RecordedRange {
  std::string domain, name, category;
  bool registered = false;
  std::optional<std::int64_t> flops, bytes, payload;  // payload: where the tool knew no schemas
  int parent = -1;  // in the list
  std::vector<int> children;
};

struct Recording {
  std::vector<RecordedRange> ranges;
  std::vector<std::string> domains, strings;  // as they were made
  bool balanced = true;  // nothing closed that was not open, nothing left open
  bool strings_first = true;  // none was registered after the first range

  [[nodiscard]] std::vector<int> around(int range) const;  // outermost first, the range itself left out
};

class RecordedProcess {
 public:
  explicit RecordedProcess(std::filesystem::path file, bool schemas = true);
  ~RecordedProcess();
  RecordedProcess(const RecordedProcess&) = delete;
  RecordedProcess& operator=(const RecordedProcess&) = delete;

  [[nodiscard]] Recording read() const;

 private:
  std::filesystem::path file_;
};

}  // namespace stepscope::testing
