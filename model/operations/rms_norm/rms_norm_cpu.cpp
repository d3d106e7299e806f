#include "model/operations/rms_norm/rms_norm_cpu.h"

#include "model/cpu/residual_types.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/rms_norm/rms_norm_body.h"

namespace stepscope {

namespace {

template <class T, class Y>
CpuRun bind_forward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const T* x = binding.in<const T>(0);
  const A* scale = binding.in<const A>(1);
  Y* y = binding.out<Y>(0);
  A* rstd = binding.out<A>(1);
  const std::int64_t features = binding.in_view(0).shape.last();
  const Chunks chunks = row_chunks(binding.in_view(0).shape.rows(), features);
  const A epsilon = static_cast<A>(binding.operation->attributes.epsilon);
  return [=, threads = binding.threads] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        rms_norm_row(Team{}, x + row * features, scale, y + row * features, rstd + row, features, epsilon);
    });
  };
}

template <class T, class Y>
CpuRun bind_backward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const Y* dy = binding.in<const Y>(0);
  const T* x = binding.in<const T>(1);
  const A *rstd = binding.in<const A>(2), *scale = binding.in<const A>(3);
  const T* so_far = binding.ins.size() > 4 ? binding.in<const T>(4) : nullptr;
  T* dx = binding.out<T>(0);
  A *scale_gradient = binding.write<A>(0), *partial = reinterpret_cast<A*>(binding.workspace);
  const std::int64_t features = binding.in_view(1).shape.last();
  const Chunks chunks = partial_chunks(binding.in_view(1).shape.rows());
  return [=, threads = binding.threads, control = binding.control, mode = binding.operation->writes[0].accumulate] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      A* const sum = partial + chunk * features;
      Team{}.for_each(features, [=](std::int64_t j) { sum[j] = A(0); });
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row) {
        const std::int64_t at = row * features;
        rms_norm_column_sums(Tile{}, dy, x, rstd, sum, row, row + 1, features);
        rms_norm_gradient_row(Team{}, dy + at, x + at, rstd[row], scale, so_far == nullptr ? nullptr : so_far + at,
                              dx + at, features);
      }
    });
    const bool add = adds(mode, *control);
    const Chunks blocks{features, 256};
    threads->parallel_for(blocks.count(), [=](std::int64_t block) {
      const std::int64_t first = blocks.begin(block);
      rms_norm_add_partials(Tile{}, partial + first, features, chunks.count(), blocks.length(block), add,
                            scale_gradient + first);
    });
  };
}

}  // namespace

CpuRun bind_rms_norm_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(0), binding.out_type(0).dtype,
                           [&]<class T, class Y>() { return bind_forward<T, Y>(binding); });
}

std::int64_t rms_norm_gradient_cpu_workspace(const Program& program, const Operation& operation, const Machine&) {
  const Shape& shape = operation.ins[1].view.shape;
  return partial_chunks(shape.rows()).count() * shape.last() * size_bytes(program.type(operation.ins[3]).dtype);
}

CpuRun bind_rms_norm_gradient_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(1), binding.in_dtype(0),
                           [&]<class T, class Y>() { return bind_backward<T, Y>(binding); });
}

}  // namespace stepscope
