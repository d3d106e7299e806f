#include "model/operations/layer_norm/layer_norm_cpu.h"

#include "model/cpu/residual_types.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/layer_norm/layer_norm_body.h"

namespace stepscope {

namespace {

template <class T, class Y>
CpuRun bind_forward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const T* x = binding.in<const T>(0);
  const A *scale = binding.in<const A>(1), *bias = binding.in<const A>(2);
  Y* y = binding.out<Y>(0);
  A *mean = binding.out<A>(1), *rstd = binding.out<A>(2);
  const std::int64_t features = binding.in_view(0).shape.last();
  const Chunks chunks = row_chunks(binding.in_view(0).shape.rows(), features);
  const A epsilon = static_cast<A>(binding.operation->attributes.epsilon);
  return [=, threads = binding.threads] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        layer_norm_row(Team{}, x + row * features, scale, bias, y + row * features, mean + row, rstd + row, features,
                       epsilon);
    });
  };
}

template <class A>
struct ParameterGradients {
  A *scale, *bias;  // [H]
  Accumulate scale_mode, bias_mode;
  A* partial;  // [chunks][dscale | dbias]
};

// Stage 2: the chunks' sums in order, by blocks of columns.
template <class A>
void add_partial_sums(const ParameterGradients<A>& to, const ControlBlock& control, std::int64_t chunks,
                      std::int64_t features, Threads& threads) {
  const bool scale_adds = adds(to.scale_mode, control), bias_adds = adds(to.bias_mode, control);
  const Chunks blocks{features, 256};
  threads.parallel_for(blocks.count(), [=](std::int64_t block) {
    const std::int64_t first = blocks.begin(block), columns = blocks.length(block);
    A *scale = to.scale + first, *bias = to.bias + first;
    const A* partial = to.partial + first;
    Team{}.for_each(columns, [=](std::int64_t j) {
      scale[j] = scale_adds ? scale[j] : A(0);
      bias[j] = bias_adds ? bias[j] : A(0);
    });
    Tile{}.for_each(0, chunks, columns, [=](std::int64_t chunk, std::int64_t j) {
      scale[j] += partial[2 * chunk * features + j];
      bias[j] += partial[(2 * chunk + 1) * features + j];
    });
  });
}

template <class T, class Y>
CpuRun bind_backward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const Y* dy = binding.in<const Y>(0);
  const T* x = binding.in<const T>(1);
  const A *mean = binding.in<const A>(2), *rstd = binding.in<const A>(3), *scale = binding.in<const A>(4);
  const T* so_far = binding.ins.size() > 5 ? binding.in<const T>(5) : nullptr;
  T* dx = binding.out<T>(0);
  const ParameterGradients<A> to{binding.write<A>(0), binding.write<A>(1), binding.operation->writes[0].accumulate,
                                 binding.operation->writes[1].accumulate, reinterpret_cast<A*>(binding.workspace)};
  const std::int64_t features = binding.in_view(1).shape.last();
  const Chunks chunks = partial_chunks(binding.in_view(1).shape.rows());
  return [=, threads = binding.threads, control = binding.control] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      A* scale_sum = to.partial + 2 * chunk * features;
      A* bias_sum = scale_sum + features;
      Team{}.for_each(2 * features, [=](std::int64_t j) { scale_sum[j] = A(0); });
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row) {
        const std::int64_t at = row * features;
        layer_norm_column_sums(Tile{}, dy, x, mean, rstd, scale_sum, bias_sum, row, row + 1, features);
        layer_norm_gradient_row(Team{}, dy + at, x + at, mean[row], rstd[row], scale,
                                so_far == nullptr ? nullptr : so_far + at, dx + at, features);
      }
    });
    add_partial_sums(to, *control, chunks.count(), features, *threads);
  };
}

}  // namespace

CpuRun bind_layer_norm_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(0), binding.out_type(0).dtype,
                           [&]<class T, class Y>() { return bind_forward<T, Y>(binding); });
}

std::int64_t layer_norm_gradient_cpu_workspace(const Program& program, const Operation& operation, const Machine&) {
  const Shape& shape = operation.ins[1].view.shape;
  return partial_chunks(shape.rows()).count() * 2 * shape.last() * size_bytes(program.type(operation.ins[4]).dtype);
}

CpuRun bind_layer_norm_gradient_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(1), binding.in_dtype(0),
                           [&]<class T, class Y>() { return bind_backward<T, Y>(binding); });
}

}  // namespace stepscope
