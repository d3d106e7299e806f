// The CUDA machine: one arena, every operation bound to its addresses when the program is loaded, one stream. A step only issues work:
// the host reads nothing, so that it returns before the card is done; control(), read and write wait, but for writing the next batch, which
// is copied while the running step updates.
//     CudaExecutor executor(step.program, step.plan, CudaExecutor::Launch::graph);
// graph: a graph each for the first micro-step (with the prologue), the later ones and the update. With an observer that must see each
// operation work is issued operation by operation, as eager does always; for one that need not, the graphs are recorded anew while it looks on.
#pragma once

#include <memory>

#include "model/execution/executor.h"
#include "model/program/cost.h"

namespace stepscope {

struct MatmulTuning;  // model/cuda/matmul_tuning.h

struct CardOptions {  // how a card gets its work; a CPU knows one way
  bool eager = false;  // operation by operation instead of as graphs
  std::shared_ptr<const MatmulTuning> tuning = {};  // of its matmuls; none: the library's first answers
};

class CudaExecutor final : public Executor {
 public:
  enum class Launch { eager, graph };

  // The program must be lowered to the card and planned. Throws OutOfMemory, with bytes asked for, free and of the card, where its memory is
  // too small; Unsupported for an operation that does not run on a card. A simulated card is told what is issued, and asked for the time.
  CudaExecutor(const Program& program, const MemoryPlan& plan, Launch launch, int card = 0,
               std::shared_ptr<const MatmulTuning> tuning = {}, SimulatedCard* simulation = nullptr);
  ~CudaExecutor() override;

  void initialise(std::uint64_t seed) override;
  void write(StateId state, std::span<const std::byte> bytes) override;
  void read(StateId state, std::span<std::byte> bytes) const override;
  void read(ValueId value, std::span<std::byte> bytes) const override;
  [[nodiscard]] ControlBlock& control() override;
  void step(double learning_rate) override;
  void observe(Observer* observer) override;
  void synchronise() const override;
  bool mark_profile_window(bool opens) override;  // cudaProfilerStart, cudaProfilerStop
  [[nodiscard]] bool works_beside_host() const override { return true; }
  [[nodiscard]] std::int64_t now_ns() const override;
  [[nodiscard]] bool computes() const override;
  [[nodiscard]] std::optional<std::int64_t> device_reports_bytes() const override;  // by all who use the card
  [[nodiscard]] std::int64_t graph_bytes() const override;
  [[nodiscard]] UsedBytes measure_used_bytes(double learning_rate) override;

 private:
  void initialise_parameters(std::uint64_t seed);
  [[nodiscard]] UsedBytes handed_out_bytes() const;

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// For make_executor; of a build without CUDA (no_cuda_executor.cpp) it throws Unsupported.
[[nodiscard]] std::unique_ptr<Executor> make_cuda_executor(const Program& program, const MemoryPlan& plan,
                                                           const Machine& machine, const CardOptions& options);

}  // namespace stepscope
