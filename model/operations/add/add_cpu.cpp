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

CpuRun bind_add_rows_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() -> CpuRun {
    const T* piece = binding.in<const T>(0);
    const T* so_far = binding.ins.size() > 1 ? binding.in<const T>(1) : nullptr;
    T* y = binding.out<T>(0);
    const std::int64_t count = binding.in_view(0).shape.elements();
    const std::int64_t first = binding.operation->attributes.first_row * binding.out_type(0).shape.last();
    const bool in_place = so_far == y;  // then all other rows stand there already
    const std::int64_t begin = in_place ? first : 0;
    const Chunks chunks = element_chunks(in_place ? count : binding.out_type(0).shape.elements());
    return [=, threads = binding.threads] {
      threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
        add_rows_range(Team{}, piece, so_far, y, first, count, begin + chunks.begin(chunk), begin + chunks.end(chunk));
      });
    };
  });
}

}  // namespace stepscope
