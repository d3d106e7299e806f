#include "model/operations/adam/adam_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/operations/adam/adam_body.h"

namespace stepscope {

namespace {

template <class A>
struct Range {
  const std::byte* g;
  DType dtype;  // of g
  AdamStates<A> states;
  std::int64_t n;
};

template <class A>
std::vector<Range<A>> ranges_of(
    const CpuBinding& binding) {  // ins: control, g1, g2 ..., results; writes: p1, m1, v1, p2 ...
  std::vector<Range<A>> ranges;
  for (int tensor = 0; tensor < static_cast<int>(binding.writes.size() / 3); ++tensor) {
    const Chunks chunks = element_chunks(binding.in_view(tensor + 1).shape.elements());
    const int p = 3 * tensor, m = p + 1, v = p + 2;
    const AdamStates<A> states{binding.write<A>(p),        binding.write<A>(m),        binding.write<A>(v),
                               binding.before_write<A>(p), binding.before_write<A>(m), binding.before_write<A>(v)};
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const std::int64_t at = chunks.begin(chunk);
      const DType dtype = binding.in_dtype(tensor + 1);
      ranges.push_back({binding.in<const std::byte>(tensor + 1) + at * size_bytes(dtype), dtype, states.from(at),
                        chunks.length(chunk)});
    }
  }
  return ranges;
}

template <class A>
CpuRun bind_type(const CpuBinding& binding) {
  const Attributes& attributes = binding.operation->attributes;
  const AdamSettings settings{attributes.beta1, attributes.beta2, attributes.epsilon, attributes.weight_decay};
  const bool skips = attributes.skips_overflow;
  return [=, ranges = ranges_of<A>(binding), threads = binding.threads, control = binding.control] {
    const bool skip = skips && control->found_inf != 0;
    const AdamStep<A> step = adam_step_of<A>(settings, *control);
    threads->parallel_for(static_cast<std::int64_t>(ranges.size()), [&](std::int64_t i) {
      const Range<A>& range = ranges[static_cast<std::size_t>(i)];
      const AdamStates<A>& s = range.states;
      adam_take_over(Team{}, s, range.n);
      if (skip) return;
      dispatch(range.dtype, [&]<class G>() {
        if constexpr (std::is_same_v<Accumulator<G>, A>)
          adam_range(Team{}, step, reinterpret_cast<const G*>(range.g), s.p, s.m, s.v, range.n);
      });
    });
  };
}

}  // namespace

CpuRun bind_adam_cpu(const CpuBinding& binding) {
  return binding.write_type(0).dtype == DType::fp64 ? bind_type<double>(binding) : bind_type<float>(binding);
}

}  // namespace stepscope
