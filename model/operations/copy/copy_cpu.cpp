#include "model/operations/copy/copy_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/copy/copy_body.h"
#include "model/program/copy.h"

namespace stepscope {

CpuRun bind_copy_cpu(const CpuBinding& binding) {
  const std::byte* from = binding.ins[0];
  std::byte* to = binding.outs.empty() ? binding.writes[0] : binding.outs[0];
  const Chunks chunks = element_chunks(copied_bytes(*binding.program, *binding.operation));
  return [=, threads = binding.threads] {
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      const std::int64_t at = chunks.begin(chunk);
      copy_range(Team{}, from + at, to + at, chunks.length(chunk));
    });
  };
}

}  // namespace stepscope
