#include "model/operations/count_tokens/count_tokens_cpu.h"

#include "model/cpu/team.h"
#include "model/operations/count_tokens/count_tokens_body.h"

namespace stepscope {

CpuRun bind_count_tokens_cpu(const CpuBinding& binding) {
  const std::int32_t* targets = binding.in<const std::int32_t>(0);
  const std::int64_t n = binding.in_view(0).shape.elements();
  return [=, control = binding.control] {
    control->token_count = count_tokens_range(Team{}, targets, n);
    control->loss_sum = 0;
  };
}

}  // namespace stepscope
