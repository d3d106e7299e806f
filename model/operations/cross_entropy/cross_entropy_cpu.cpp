#include "model/operations/cross_entropy/cross_entropy_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/cross_entropy/cross_entropy_body.h"

namespace stepscope {

namespace {

template <class M, class T>
CpuRun bind_types(const CpuBinding& binding) {
  const M* logits = binding.in<const M>(0);
  const std::int32_t* all_targets = binding.in<const std::int32_t>(1);
  const std::int64_t micro_stride = binding.in_view(1).micro_stride;
  M* loss = binding.out<M>(0);
  T* dlogits = binding.out<T>(1);
  double* row_loss = reinterpret_cast<double*>(binding.workspace);
  const std::int64_t columns = binding.in_view(0).shape.last(), rows = binding.in_view(0).shape.rows();
  const Chunks chunks = row_chunks(rows, columns);
  return [=, threads = binding.threads, control = binding.control] {
    const std::int32_t* targets = all_targets + control->micro_step * micro_stride;
    const double inverse_count = control->token_count > 0 ? 1 / control->token_count : 0;
    const M factor = static_cast<M>(inverse_count * control->loss_scale);
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        row_loss[row] =
            cross_entropy_row(Team{}, logits + row * columns, targets[row], factor, dlogits + row * columns, columns);
    });
    const double sum = Team{}.sum<double>(rows, [=](std::int64_t row) { return row_loss[row]; });
    control->loss_sum += sum;
    *loss = static_cast<M>(sum * inverse_count);
  };
}

}  // namespace

std::int64_t cross_entropy_cpu_workspace(const Program&, const Operation& operation, const Machine&) {
  return operation.ins[0].view.shape.rows() * static_cast<std::int64_t>(sizeof(double));
}

CpuRun bind_cross_entropy_cpu(const CpuBinding& binding) {
  return dispatch(binding.out_type(1).dtype, [&]<class T>() {
    return binding.in_dtype(0) == DType::fp64 ? bind_types<double, T>(binding) : bind_types<float, T>(binding);
  });
}

}  // namespace stepscope
