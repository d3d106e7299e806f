#include "model/operations/add/add_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/add/add_body.h"

namespace stepscope {

CpuRun bind_add_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() -> CpuRun {
    const T *a = binding.in<const T>(0), *b = binding.in<const T>(1);
    T* c = binding.out<T>(0);
    const Chunks chunks = element_chunks(binding.in_view(0).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        const std::int64_t at = chunks.begin(chunk);
        add_range(Team{}, a + at, b + at, c + at, chunks.length(chunk));
      });
    };
  });
}

}  // namespace stepscope
