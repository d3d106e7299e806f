#include <fmt/format.h>

#include <filesystem>

#include "harness/coordinator.h"
#include "harness/device.h"
#include "harness/interrupt.h"
#include "harness/simulated_device.h"
#include "harness/worker.h"
#include "model/base/error.h"
#include "model/base/file.h"

namespace stepscope {

namespace fs = std::filesystem;

// RUN/tuning.json for all cells of the matrix, by a process of its own: this one makes no context on the card. Visits read it and nothing
// writes it after, unless the run goes on with another card. On a simulated card every algorithm takes the same time.
void Coordinator::tune_once() {
  if (tuned_ || !request_.tunes || !request_.machine.has_kernels || is_simulated(request_.machine)) return;
  tuned_ = true;
  std::vector<std::string> words{"tune"};
  words.insert(words.end(), request_.words.begin(), request_.words.end());
  words.insert(words.end(), {"--out", fs::absolute(request_.out / "tuning.json").string(), "--device",
                             name_of_device(request_.machine)});
  progress_.say("measuring the algorithms of matmuls");
  Worker worker(std::move(words), request_.out / "tuning.log");
  const WorkerEnd end = worker.wait(std::chrono::seconds(request_.matrix.measure.timeout_seconds), interrupted);
  if (end.how != WorkerEnd::How::exited) remove_temporaries(request_.out);
  stopped_ = stopped_ || end.how == WorkerEnd::How::stopped || interrupted();
  if (stopped_ || (end.how == WorkerEnd::How::exited && end.number == 0)) return;
  constexpr int usage_status = 2;  // a file that is broken
  if (end.how == WorkerEnd::How::exited && end.number == usage_status) throw UsageError(end.last_line);
  const std::string why = end.how == WorkerEnd::How::exited    ? end.last_line
                          : end.how == WorkerEnd::How::timeout ? "no sign of life"
                                                               : fmt::format("signal {}", end.number);
  note("matmuls take cuBLASLt's first answers: measuring them failed: " + why);
}

}  // namespace stepscope
