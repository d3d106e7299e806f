#include "model/operations/dropout_add/dropout_add_cpu.h"

#include "model/cpu/residual_types.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/dropout_add/dropout_add_body.h"

namespace stepscope {

namespace {

// f(stream, token of the whole step, row of the micro-step) for every row.
template <class F>
CpuRun for_each_token(const CpuBinding& binding, F f) {
  const Shape& shape = binding.in_view(0).shape;
  const std::int64_t rows = shape.rows();
  const Chunks chunks = row_chunks(rows, shape.last());
  return [=, threads = binding.threads, control = binding.control,
          site = static_cast<std::uint32_t>(binding.operation->attributes.random_site),
          threshold = drop_threshold(binding.operation->attributes.rate)] {
    const DropoutStream stream{control->seed, site, static_cast<std::uint32_t>(control->step), threshold};
    const std::int64_t first_token = control->micro_step * rows;
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        f(stream, static_cast<std::uint32_t>(first_token + row), row);
    });
  };
}

}  // namespace

CpuRun bind_dropout_add_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(1), binding.in_dtype(0), [&]<class R, class T>() {
    const T* branch = binding.in<const T>(0);
    const R* residual = binding.in<const R>(1);
    R* y = binding.out<R>(0);
    const std::int64_t features = binding.in_view(0).shape.last();
    const auto scale = static_cast<Accumulator<T>>(1 / (1 - binding.operation->attributes.rate));
    return for_each_token(binding, [=](const DropoutStream& stream, std::uint32_t token, std::int64_t row) {
      const std::int64_t at = row * features;
      dropout_add_row(Team{}, stream, token, scale, branch + at, residual + at, y + at, features);
    });
  });
}

CpuRun bind_dropout_gradient_cpu(const CpuBinding& binding) {
  return dispatch_residual(binding.in_dtype(0), binding.out_type(0).dtype, [&]<class R, class T>() {
    const R* dy = binding.in<const R>(0);
    T* dbranch = binding.out<T>(0);
    const std::int64_t features = binding.in_view(0).shape.last();
    const auto scale = static_cast<Accumulator<T>>(1 / (1 - binding.operation->attributes.rate));
    return for_each_token(binding, [=](const DropoutStream& stream, std::uint32_t token, std::int64_t row) {
      const std::int64_t at = row * features;
      dropout_gradient_row(Team{}, stream, token, scale, dy + at, dbranch + at, features);
    });
  });
}

}  // namespace stepscope
