// CUPTI records of steps that never ran, with what their attribution must find: random kernels, names, times and numbers.
//     MadeRecords made(program, {.steps = 3, .graphs = true, .seed = 7});
//     const DeviceActivity activity = made.activity();               // through buffers that CUPTI's own reader walks
//     made.expected_ns[{"forward", "blocks.0.mlp.up", "linear"}]     // over all steps
// Records come shuffled, in buffers of several sizes, in any order.
#pragma once

#include <cupti.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "model/program/program.h"
#include "profiles/trace_model.h"

namespace stepscope::testing {

using Record = std::vector<std::byte>;  // one of CUPTI's, whole

template <class R>
Record record_of(const R& record) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&record);
  return {bytes, bytes + sizeof record};
}

struct RecordSetting {
  int steps = 2;
  bool graphs = false;  // a replay for the first micro-step, one for each later one, one for the update
  bool two_streams = false;  // each third operation also copies on a second stream, beside what follows
  double unowned = 0;  // share of launches whose external correlation is missing
  std::uint64_t seed = 1;
};

class MadeRecords {
 public:
  MadeRecords(const Program& program, const RecordSetting& setting);

  // In random order, in buffers of random sizes. `cut`: so many bytes of the last buffer's end are missing.
  [[nodiscard]] DeviceActivity activity(std::uint64_t order = 1, std::size_t cut = 0) const;

  std::vector<Record> records;
  std::vector<StepSpan> steps;
  std::map<std::uint64_t, std::uint64_t> owner_of_node;
  std::map<std::tuple<std::string, std::string, std::string>, std::int64_t> expected_ns;  // phase, site, operation
  std::int64_t unowned_ns = 0;
  std::vector<std::vector<std::pair<std::int64_t, std::int64_t>>> busy;  // by step: begin and end of all its work

 private:
  void run_step(int step);
  void run_operation(int operation, int micro_step, std::uint32_t correlation, bool owned);
  std::uint32_t launch(std::uint64_t owner, bool owned);
  void add_work(bool kernel, std::uint32_t stream, std::int64_t begin_ns, std::int64_t end_ns,
                std::uint32_t correlation, std::uint64_t node);
  void count(int operation, std::int64_t ns, bool owned);
  std::int64_t some(std::int64_t most) { return std::uniform_int_distribution<std::int64_t>(0, most)(random_); }

  const Program& program_;
  const RecordSetting setting_;
  std::mt19937_64 random_;
  std::deque<std::string> names_;  // that records point to
  std::int64_t now_ns_ = 5'000'000'000'000;
  std::uint32_t correlation_ = 0;
  std::map<std::tuple<int, int, int>, std::uint64_t> node_of_;  // graph, operation, kernel
};

}  // namespace stepscope::testing
