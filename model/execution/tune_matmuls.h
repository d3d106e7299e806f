// Which algorithm is fastest for each matmul of some programs, found once on a card: for processes that run them after.
//     MatmulList list(card);   for (...) list.add(step.program, step.plan);          // nothing runs, nothing is allocated for it
//     const MatmulTuning tuning = list.tune({identity.card, identity.matmul_library}, [] { heartbeat.beat(); });
// Of a build without CUDA (no_cuda_executor.cpp) it throws Unsupported.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "model/cuda/matmul_tuning.h"
#include "model/program/memory_plan.h"
#include "model/program/program.h"

namespace stepscope {

class MatmulList {
 public:
  explicit MatmulList(int card);
  ~MatmulList();
  void add(const Program& program, const MemoryPlan& plan);  // lowered to the card
  [[nodiscard]] std::vector<std::string> signatures() const;
  // Goes on from `known`, whose matmuls are not measured again; `measured` is called after each that is. A matmul that the card has no
  // room for is left out.
  [[nodiscard]] MatmulTuning tune(MatmulTuning known, const std::function<void()>& measured) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace stepscope
