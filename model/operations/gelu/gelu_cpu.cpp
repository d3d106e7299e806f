#include "model/operations/gelu/gelu_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/gelu/gelu_body.h"

namespace stepscope {

CpuRun bind_gelu_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() -> CpuRun {
    const T* u = binding.in<const T>(0);
    T* g = binding.out<T>(0);
    const Chunks chunks = element_chunks(binding.in_view(0).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        const std::int64_t at = chunks.begin(chunk);
        gelu_range(Team{}, u + at, g + at, chunks.length(chunk));
      });
    };
  });
}

CpuRun bind_gelu_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(1), [&]<class T>() -> CpuRun {
    const T *dg = binding.in<const T>(0), *u = binding.in<const T>(1);
    T* du = binding.out<T>(0);
    const Chunks chunks = element_chunks(binding.in_view(1).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        const std::int64_t at = chunks.begin(chunk);
        gelu_gradient_range(Team{}, dg + at, u + at, du + at, chunks.length(chunk));
      });
    };
  });
}

}  // namespace stepscope
