#include "model/operations/rotary/rotary_cpu.h"

#include <memory>
#include <vector>

#include "model/cpu/operands.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/cpu/workspace.h"
#include "model/operations/packed_heads.h"
#include "model/operations/rotary/rotary_body.h"

namespace stepscope {

namespace {

// A thread's cosines, then its sines.
struct Slot {
  std::int64_t sines = 0, bytes = 0;
  Slot(std::int64_t pairs, int element_bytes) {
    WorkspaceLayout layout;
    (void)layout.place(pairs * element_bytes);
    sines = layout.place(pairs * element_bytes);
    bytes = layout.total_bytes();
  }
};

std::vector<double> frequencies_of(const Attributes& a) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < a.head_dim / 2; ++i)
    frequencies.push_back(rotary_frequency(a.rotary.theta, a.rotary.factor, a.rotary.low, a.rotary.high,
                                           static_cast<double>(a.rotary.original), i, a.head_dim));
  return frequencies;
}

// Turns the heads of one row of packed queries, keys and values.
template <class T>
void turn_row(const PackedHeads& heads, const T* x, T* y, const Accumulator<T>* cosines, const Accumulator<T>* sines,
              Accumulator<T> direction) {
  const std::int64_t width = heads.head_dim;
  for (std::int64_t group = 0; group < heads.kv_heads; ++group) {
    const std::int64_t first = heads.group_at(group), value = first + (heads.queries + 1) * width;
    for (std::int64_t at = first; at < value; at += width)
      rotary_head(Team{}, x + at, y + at, cosines, sines, direction, width / 2);
    copy_head(Team{}, x + value, y + value, width);
  }
}

template <class T>
CpuRun bind_as(const CpuBinding& binding, Accumulator<T> direction) {
  using A = Accumulator<T>;
  const Attributes& a = binding.operation->attributes;
  const Shape& shape = binding.in_view(0).shape;
  const PackedHeads heads = packed_heads(shape, a.heads, a.head_dim);
  const std::int64_t batch = shape[0], sequence = shape[1], features = shape[2], pairs = a.head_dim / 2;
  const Chunks chunks = row_chunks(sequence, batch * features);
  const Slot slots(pairs, sizeof(A));
  const auto frequencies = std::make_shared<const std::vector<double>>(frequencies_of(a));
  return
      [=, x = binding.in<const T>(0), y = binding.out<T>(0), workspace = binding.workspace, threads = binding.threads] {
        threads->parallel_for_slots(chunks.count(), [&](std::int64_t chunk, int slot) {
          std::byte* const mine = workspace + slot * slots.bytes;
          A *const cosines = piece<A>(mine, 0), *const sines = piece<A>(mine, slots.sines);
          for (std::int64_t position = chunks.begin(chunk); position < chunks.end(chunk); ++position) {
            rotary_angles(Team{}, position, frequencies->data(), cosines, sines, pairs);
            for (std::int64_t b = 0; b < batch; ++b) {
              const std::int64_t at = (b * sequence + position) * features;
              turn_row(heads, x + at, y + at, cosines, sines, direction);
            }
          }
        });
      };
}

}  // namespace

std::int64_t rotary_cpu_workspace(const Program& program, const Operation& operation, const Machine& machine) {
  return dispatch(in_dtype(program, operation, 0), [&]<class T>() {
    return machine.threads * Slot(operation.attributes.head_dim / 2, sizeof(Accumulator<T>)).bytes;
  });
}

CpuRun bind_rotary_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch(binding.in_dtype(0), [&]<class T>() { return bind_as<T>(binding, 1); });
}

CpuRun bind_rotary_gradient_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch(binding.in_dtype(0), [&]<class T>() { return bind_as<T>(binding, -1); });
}

}  // namespace stepscope
