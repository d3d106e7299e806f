#include "model/execution/state_store.h"

#include <algorithm>
#include <cstring>

#include "model/base/random_values.h"
#include "model/program/memory_plan.h"

namespace stepscope {

StateStore::StateStore(const Program& program) : program_(program), addresses_(program.states.size()) {
  for (const StateAllocation& allocation : state_allocations(program)) {
    std::vector<std::pair<StateId, std::int64_t>> offsets;
    std::int64_t size = 0;
    for (const StateId id : allocation.states) {
      offsets.emplace_back(id, size);
      size += round_up(program.state(id).type.size_bytes(), arena_alignment_bytes);
    }
    regions_.emplace_back(size);
    memories_.push_back(allocation.memory);
    for (const auto& [id, offset] : offsets)
      addresses_[static_cast<std::size_t>(id.index)] = regions_.back().base() + offset;
  }
}

std::span<std::byte> StateStore::bytes_of(StateId id) const {
  return {at(id), static_cast<std::size_t>(program_.state(id).type.size_bytes())};
}

std::int64_t StateStore::allocated_bytes(Memory memory) const {
  std::int64_t sum = 0;
  for (std::size_t r = 0; r < regions_.size(); ++r) sum += memories_[r] == memory ? regions_[r].bytes() : 0;
  return sum;
}

void fill_initial(std::span<float> values, const State& state, std::uint64_t seed) {
  switch (state.initial.law) {
    case Initial::Law::zeros: std::fill(values.begin(), values.end(), 0.0F); break;
    case Initial::Law::ones: std::fill(values.begin(), values.end(), 1.0F); break;
    case Initial::Law::normal: fill_normal(values, state.initial.deviation, seed, state.name); break;
    case Initial::Law::truncated_normal:
      fill_truncated_normal(values, state.initial.deviation, seed, state.name);
      break;
  }
}

void StateStore::initialise(std::uint64_t seed) {
  for (const StateKind kind : {StateKind::copy, StateKind::gradient, StateKind::moment})
    for (const StateId id : program_.states_of(kind)) std::ranges::fill(bytes_of(id), std::byte{0});
  for (const StateId id : program_.states_of(StateKind::parameter)) {
    const State& state = program_.state(id);
    const auto count = static_cast<std::size_t>(state.type.shape.elements());
    if (state.type.dtype == DType::fp32) {
      fill_initial({reinterpret_cast<float*>(at(id)), count}, state, seed);
    } else {  // fp64: the same numbers, widened
      std::vector<float> narrow(count);
      fill_initial(narrow, state, seed);
      std::copy(narrow.begin(), narrow.end(), reinterpret_cast<double*>(at(id)));
    }
  }
}

}  // namespace stepscope
