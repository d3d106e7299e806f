// Where the states of a program lie on the CPU: one allocation a kind and memory, each state at a multiple of 256 bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/execution/region.h"
#include "model/program/program.h"

namespace stepscope {

// A parameter's first values, by its law and its name.
void fill_initial(std::span<float> values, const State& state, std::uint64_t seed);

class StateStore {
 public:
  explicit StateStore(const Program& program);

  [[nodiscard]] std::byte* at(StateId id) const { return addresses_[static_cast<std::size_t>(id.index)]; }
  [[nodiscard]] std::span<std::byte> bytes_of(StateId id) const;
  [[nodiscard]] std::int64_t allocated_bytes(Memory memory) const;  // as asked of the machine
  [[nodiscard]] std::span<const Region> regions() const { return regions_; }
  void initialise(std::uint64_t seed);  // parameters by their laws, everything but batch and control else 0

 private:
  const Program& program_;
  std::vector<Region> regions_;
  std::vector<Memory> memories_;  // by region: which one it stands for; on a CPU both are the same
  std::vector<std::byte*> addresses_;  // by state
};

}  // namespace stepscope
