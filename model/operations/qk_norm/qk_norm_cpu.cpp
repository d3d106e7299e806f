#include "model/operations/qk_norm/qk_norm_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/qk_norm/qk_norm_body.h"

namespace stepscope {

namespace {

PackedHeads heads_of(const CpuBinding& binding, int in) {
  const Attributes& a = binding.operation->attributes;
  return packed_heads(binding.in_view(in).shape, a.heads, a.head_dim);
}

template <class T>
CpuRun bind_forward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const PackedHeads heads = heads_of(binding, 0);
  const Shape& shape = binding.in_view(0).shape;
  const Chunks chunks = row_chunks(shape.rows(), shape.last());
  const std::int64_t features = shape.last(), statistics = heads.kv_heads * (heads.queries + 1);
  const A epsilon = static_cast<A>(binding.operation->attributes.epsilon);
  return [=, x = binding.in<const T>(0), q_scale = binding.in<const A>(1), k_scale = binding.in<const A>(2),
          y = binding.out<T>(0), rstd = binding.out<A>(1), threads = binding.threads] {
    threads->parallel_for(chunks.count(), [&](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        qk_norm_row(Team{}, heads, x + row * features, q_scale, k_scale, y + row * features, rstd + row * statistics,
                    epsilon);
    });
  };
}

template <class T>
CpuRun bind_backward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const PackedHeads heads = heads_of(binding, 1);
  const Shape& shape = binding.in_view(1).shape;
  const Chunks chunks = partial_chunks(shape.rows());
  const std::int64_t features = shape.last(), statistics = heads.kv_heads * (heads.queries + 1);
  const std::vector<Write>& writes = binding.operation->writes;
  return [=, at = binding, partial = reinterpret_cast<A*>(binding.workspace), q_mode = writes[0].accumulate,
          k_mode = writes[1].accumulate, width = heads.head_dim] {
    const T *const dy = at.in<const T>(0), *const x = at.in<const T>(1);
    at.threads->parallel_for(chunks.count(), [&](std::int64_t chunk) {
      A* const sums = partial + chunk * 2 * width;
      Team{}.for_each(2 * width, [=](std::int64_t j) { sums[j] = A(0); });
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        qk_norm_gradient_row(Team{}, Tile{}, heads, dy + row * features, x + row * features,
                             at.in<const A>(2) + row * statistics, at.in<const A>(3), at.in<const A>(4), sums,
                             at.out<T>(0) + row * features);
    });
    rms_norm_add_partials(Tile{}, partial, 2 * width, chunks.count(), width, adds(q_mode, *at.control), at.write<A>(0));
    rms_norm_add_partials(Tile{}, partial + width, 2 * width, chunks.count(), width, adds(k_mode, *at.control),
                          at.write<A>(1));
  };
}

}  // namespace

CpuRun bind_qk_norm_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() { return bind_forward<T>(binding); });
}

std::int64_t qk_norm_gradient_cpu_workspace(const Program& program, const Operation& operation, const Machine&) {
  const Chunks chunks = partial_chunks(operation.ins[1].view.shape.rows());
  return chunks.count() * 2 * operation.attributes.head_dim * size_bytes(program.type(operation.ins[3]).dtype);
}

CpuRun bind_qk_norm_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(1), [&]<class T>() { return bind_backward<T>(binding); });
}

}  // namespace stepscope
