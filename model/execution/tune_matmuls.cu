#include "model/execution/tune_matmuls.h"

#include "model/cuda/matmul_tuner.cuh"
#include "model/operations/list_cuda.cuh"

namespace stepscope {

struct MatmulList::Parts {
  explicit Parts(int card) {
    STEPSCOPE_CUDA(cudaSetDevice(card));
    library = std::make_unique<MatmulLibrary>();
    library->only_list(problems);
  }
  MatmulProblems problems;
  std::unique_ptr<MatmulLibrary> library;
};

MatmulList::MatmulList(int card) : parts_(std::make_unique<Parts>(card)) {}
MatmulList::~MatmulList() = default;

// Operations are bound to addresses where nothing lies, aligned as the executor's are: all that a matmul is chosen by.
void MatmulList::add(const Program& program, const MemoryPlan& plan) {
  const auto nowhere = [](std::int64_t offset) { return reinterpret_cast<std::byte*>(arena_alignment_bytes + offset); };
  for (std::size_t i = 0; i < program.operations.size(); ++i) {
    const Operation& op = program.operations[i];
    const CudaOperation& cuda = cuda_row_of(*op.kind);
    if (!cuda.multiplies) continue;
    CudaBinding binding;
    binding.program = &program;
    binding.operation = &op;
    binding.matmuls = parts_->library.get();
    const auto value_at = [&](ValueId id) { return plan.placements[static_cast<std::size_t>(id.index)].offset_bytes; };
    for (const Operand& in : op.ins)
      binding.ins.push_back(
          nowhere((in.is_value() ? value_at(in.value()) : 0) + in.view.offset * size_bytes(program.type(in).dtype)));
    for (const ValueId out : op.outs) binding.outs.push_back(nowhere(value_at(out)));
    binding.writes.assign(op.writes.size(), nowhere(0));
    if (op.workspace_bytes > 0) binding.workspace = nowhere(plan.workspace_offsets[i]);
    (void)cuda.bind(binding);
  }
}

std::vector<std::string> MatmulList::signatures() const {
  std::vector<std::string> all;
  for (const auto& [signature, problem] : parts_->problems) all.push_back(signature);
  return all;
}

MatmulTuning MatmulList::tune(MatmulTuning known, const std::function<void()>& measured) const {
  MatmulTuner tuner;
  for (const auto& [signature, problem] : parts_->problems) {
    if (known.choices.contains(signature)) continue;
    if (const std::optional<MatmulChoice> choice = tuner.fastest(problem)) known.choices[signature] = *choice;
    measured();
  }
  return known;
}

}  // namespace stepscope
