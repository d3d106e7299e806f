#include <algorithm>
#include <bit>
#include <functional>

#include "model/program/operation.h"
#include "model/program/verify.h"

namespace stepscope {

namespace {

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {  // splitmix64 over a running hash
  std::uint64_t z = hash * 0x9e3779b97f4a7c15ULL + word + 0x632be59bd9b4e019ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t mix(std::uint64_t hash, std::string_view text) { return mix(hash, std::hash<std::string_view>{}(text)); }
std::uint64_t mix(std::uint64_t hash, double number) { return mix(hash, std::bit_cast<std::uint64_t>(number)); }

std::uint64_t hash_of(const Attributes& a) {
  std::uint64_t hash = mix(1, static_cast<std::uint64_t>(a.output));
  for (const double number : {a.epsilon, a.rate, a.scale, a.beta1, a.beta2, a.weight_decay, a.clip, a.rotary.theta,
                              a.rotary.factor, a.rotary.low, a.rotary.high})
    hash = mix(hash, number);
  for (const int number :
       {a.heads, a.head_dim, a.random_site, a.mask.causal ? 1 : 0, a.mask.padding ? 1 : 0, a.mask.custom ? 1 : 0,
        a.transposed_weight ? 1 : 0, a.skips_overflow ? 1 : 0, static_cast<int>(a.growth_interval),
        static_cast<int>(a.first_row), static_cast<int>(a.probabilities)})
    hash = mix(hash, static_cast<std::uint64_t>(number));
  hash = mix(hash, static_cast<std::uint64_t>(a.rotary.original));
  return mix(hash, a.algorithm);
}

std::uint64_t hash_of(const View& view, int micro_step) {
  std::uint64_t hash = mix(2, static_cast<std::uint64_t>(view.offset + view.micro_stride * micro_step));
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    hash = mix(hash, static_cast<std::uint64_t>(view.shape[axis]));
    hash = mix(hash, static_cast<std::uint64_t>(view.strides[static_cast<std::size_t>(axis)]));
  }
  return hash;
}

bool brings_staged(const Operation& op, int in) {
  return std::ranges::any_of(op.writes, [&](const Write& write) { return write.is_staged() && write.in == in; });
}

}  // namespace

StateHistories state_histories(const Program& program) {
  StateHistories states;
  for (const State& state : program.states) states.push_back(mix(3, state.name));
  std::vector<std::uint64_t> values(program.values.size(), 0);
  const auto history_of = [&](const Operand& operand) {
    return (operand.is_value() ? values : states)[static_cast<std::size_t>(operand.index)];
  };
  const auto carry_over = [&](const Operation& copy) {
    for (const ValueId out : copy.outs) values[static_cast<std::size_t>(out.index)] = history_of(copy.ins[0]);
    for (const Write& write : copy.writes)
      states[static_cast<std::size_t>(write.state.index)] = history_of(copy.ins[0]);
  };
  const auto run = [&](Section section, int micro_step) {
    for (const Operation& op : program.operations) {
      if (op.section != section) continue;
      if (op.kind->copies) {
        carry_over(op);
        continue;
      }
      std::uint64_t hash = mix(hash_of(op.attributes), op.kind->name);
      hash = mix(hash, static_cast<std::uint64_t>(section == Section::micro ? micro_step : -1));
      for (std::size_t i = 0; i < op.ins.size(); ++i) {
        if (brings_staged(op, static_cast<int>(i))) continue;  // what the write below has for the state's content
        hash = mix(hash, history_of(op.ins[i]));
        hash = mix(hash, hash_of(op.ins[i].view, micro_step));
      }
      for (std::size_t o = 0; o < op.outs.size(); ++o)
        values[static_cast<std::size_t>(op.outs[o].index)] = mix(hash, o);
      for (std::size_t w = 0; w < op.writes.size(); ++w) {
        const Write& write = op.writes[w];
        if (write.is_staged()) {
          const std::uint64_t before = history_of(op.ins[static_cast<std::size_t>(write.in)]);
          values[static_cast<std::size_t>(op.outs[static_cast<std::size_t>(write.out)].index)] =
              mix(mix(hash, w + 1000), before);
          continue;
        }
        std::uint64_t& state = states[static_cast<std::size_t>(write.state.index)];
        const bool fresh = write.accumulate == Accumulate::after_first && micro_step == 0;
        state = mix(mix(hash, w + 1000), fresh ? 0 : state);
      }
    }
  };
  run(Section::prologue, 0);
  run(Section::micro, 0);
  if (program.micro_steps > 1) run(Section::micro, 1);
  run(Section::update, 0);
  return states;
}

}  // namespace stepscope
