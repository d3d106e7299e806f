#include "model/operations/cast/cast_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/cast/cast_body.h"

namespace stepscope {

namespace {

template <class From, class To>
CpuRun bind_between(const CpuBinding& binding) {
  const From* x = binding.in<const From>(0);
  To* y = binding.write<To>(0);
  const Chunks chunks = element_chunks(binding.in_view(0).shape.elements());
  return [=, threads = binding.threads] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      const std::int64_t at = chunks.begin(chunk);
      cast_range(Team{}, x + at, y + at, chunks.length(chunk));
    });
  };
}

}  // namespace

CpuRun bind_cast_cpu(const CpuBinding& binding) {
  const DType to = binding.write_type(0).dtype;
  return dispatch(binding.in_dtype(0), [&]<class From>() {
    return dispatch(to, [&]<class To>() { return bind_between<From, To>(binding); });
  });
}

}  // namespace stepscope
