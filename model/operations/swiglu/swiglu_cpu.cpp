#include "model/operations/swiglu/swiglu_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/swiglu/swiglu_body.h"

namespace stepscope {

CpuRun bind_swiglu_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() -> CpuRun {
    const T *gate = binding.in<const T>(0), *up = binding.in<const T>(1);
    T* g = binding.out<T>(0);
    const Chunks chunks = element_chunks(binding.in_view(0).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        const std::int64_t at = chunks.begin(chunk);
        swiglu_range(Team{}, gate + at, up + at, g + at, chunks.length(chunk));
      });
    };
  });
}

CpuRun bind_swiglu_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(1), [&]<class T>() -> CpuRun {
    const T *dg = binding.in<const T>(0), *gate = binding.in<const T>(1), *up = binding.in<const T>(2);
    T *dgate = binding.out<T>(0), *dup = binding.out<T>(1);
    const Chunks chunks = element_chunks(binding.in_view(1).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        const std::int64_t at = chunks.begin(chunk);
        swiglu_gradient_range(Team{}, dg + at, gate + at, up + at, dgate + at, dup + at, chunks.length(chunk));
      });
    };
  });
}

}  // namespace stepscope
