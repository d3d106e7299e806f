#include "model/operations/loss_scaling/loss_scaling_cpu.h"

#include <cmath>

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/gradient_norm/gradient_norm_body.h"
#include "model/operations/loss_scaling/loss_scaling_body.h"

namespace stepscope {

namespace {

struct Range {
  std::byte* first;
  DType dtype;
  std::int64_t n;
};

std::vector<Range> ranges_of(const CpuBinding& binding) {  // in the order of the writes; the first is results
  std::vector<Range> ranges;
  for (int i = 1; i < static_cast<int>(binding.writes.size()); ++i) {
    const TensorType& type = binding.write_type(i);
    const Chunks chunks = element_chunks(type.shape.elements());
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk)
      ranges.push_back({binding.write<std::byte>(i) + chunks.begin(chunk) * size_bytes(type.dtype), type.dtype,
                        chunks.length(chunk)});
  }
  return ranges;
}

}  // namespace

std::int64_t unscale_gradients_cpu_workspace(const Program& program, const Operation& operation, const Machine&) {
  std::int64_t ranges = 0;
  for (std::size_t i = 1; i < operation.writes.size(); ++i)
    ranges += element_chunks(program.state(operation.writes[i].state).type.shape.elements()).count();
  return ranges * static_cast<std::int64_t>(sizeof(double));
}

CpuRun bind_unscale_gradients_cpu(const CpuBinding& binding) {
  double* partial = reinterpret_cast<double*>(binding.workspace);
  const double clip = binding.operation->attributes.clip;
  return [=, ranges = ranges_of(binding), threads = binding.threads, control = binding.control] {
    const auto count = static_cast<std::int64_t>(ranges.size());
    const double inverse_scale = 1 / control->loss_scale;
    threads->parallel_for(count, [&](std::int64_t i) {
      const Range& range = ranges[static_cast<std::size_t>(i)];
      partial[i] = dispatch(range.dtype, [&]<class G>() {
        const auto inverse = static_cast<Accumulator<G>>(inverse_scale);
        return unscale_range(Team{}, reinterpret_cast<G*>(range.first), inverse, range.n);
      });
    });
    control->gradient_norm = sqrt_of(Team{}.sum<double>(count, [=](std::int64_t i) { return partial[i]; }));
    control->clip_factor = clip_factor_of(control->gradient_norm, clip);
    control->found_inf = std::isfinite(control->gradient_norm) ? 0 : 1;
  };
}

CpuRun bind_update_loss_scale_cpu(const CpuBinding& binding) {
  return [control = binding.control, interval = binding.operation->attributes.growth_interval] {
    const bool overflowed = control->found_inf != 0;
    const LossScale next = next_loss_scale({control->loss_scale, control->clean_steps}, overflowed, interval);
    control->loss_scale = next.scale;
    control->clean_steps = next.clean_steps;
    control->skips += overflowed ? 1 : 0;
  };
}

}  // namespace stepscope
