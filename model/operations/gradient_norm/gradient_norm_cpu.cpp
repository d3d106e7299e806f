#include "model/operations/gradient_norm/gradient_norm_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/gradient_norm/gradient_norm_body.h"

namespace stepscope {

namespace {

struct Range {
  const std::byte* first;
  DType dtype;
  std::int64_t n;
};

std::vector<Range> ranges_of(
    const CpuBinding& binding) {  // in the order of the operands; the first is the control block
  std::vector<Range> ranges;
  for (int i = 1; i < static_cast<int>(binding.ins.size()); ++i) {
    const Chunks chunks = element_chunks(binding.in_view(i).shape.elements());
    const DType dtype = binding.in_dtype(i);
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk)
      ranges.push_back(
          {binding.in<const std::byte>(i) + chunks.begin(chunk) * size_bytes(dtype), dtype, chunks.length(chunk)});
  }
  return ranges;
}

}  // namespace

std::int64_t gradient_norm_cpu_workspace(const Program&, const Operation& operation, const Machine&) {
  std::int64_t ranges = 0;
  for (std::size_t i = 1; i < operation.ins.size(); ++i)
    ranges += element_chunks(operation.ins[i].view.shape.elements()).count();
  return ranges * static_cast<std::int64_t>(sizeof(double));
}

CpuRun bind_gradient_norm_cpu(const CpuBinding& binding) {
  double* partial = reinterpret_cast<double*>(binding.workspace);
  const double clip = binding.operation->attributes.clip;
  return [=, ranges = ranges_of(binding), threads = binding.threads, control = binding.control] {
    const auto count = static_cast<std::int64_t>(ranges.size());
    threads->parallel_for(count, [&](std::int64_t i) {
      const Range& range = ranges[static_cast<std::size_t>(i)];
      partial[i] = dispatch(range.dtype, [&]<class G>() {
        return sum_of_squares(Team{}, reinterpret_cast<const G*>(range.first), range.n);
      });
    });
    control->gradient_norm = sqrt_of(Team{}.sum<double>(count, [=](std::int64_t i) { return partial[i]; }));
    control->clip_factor = clip_factor_of(control->gradient_norm, clip);
  };
}

}  // namespace stepscope
