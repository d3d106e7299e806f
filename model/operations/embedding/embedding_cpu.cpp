#include "model/operations/embedding/embedding_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
#include "model/cpu/widen.h"
#include "model/operations/embedding/embedding_body.h"

namespace stepscope {

namespace {

// The tokens of the present micro-step.
struct Tokens {
  const std::int32_t* first;
  std::int64_t micro_stride;
  [[nodiscard]] const std::int32_t* of(const ControlBlock& control) const {
    return first + control.micro_step * micro_stride;
  }
};

// Null stays null.
template <class A>
A* row_of(A* matrix, std::int64_t row, std::int64_t features) {
  return matrix == nullptr ? nullptr : matrix + row * features;
}

template <class T>
CpuRun bind_forward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const Tokens all{binding.in<const std::int32_t>(0), binding.in_view(0).micro_stride};
  const A* table = binding.in<const A>(1);
  const A* positions = binding.ins.size() > 2 ? binding.in<const A>(2) : nullptr;
  T* x = binding.out<T>(0);
  const Shape& shape = binding.out_type(0).shape;
  const std::int64_t sequence = shape[1], features = shape[2];
  const Chunks chunks = row_chunks(shape.rows(), features);
  return [=, threads = binding.threads, control = binding.control] {
    const std::int32_t* tokens = all.of(*control);
    threads->parallel_for(chunks.count(), [=](std::int64_t chunk) {
      for (std::int64_t row = chunks.begin(chunk); row < chunks.end(chunk); ++row)
        embedding_row(Team{}, table + tokens[row] * features, row_of(positions, row % sequence, features),
                      x + row * features, features);
    });
  };
}

template <class A>
void clear_columns(A* table, std::int64_t first_row, std::int64_t past_row, std::int64_t features, std::int64_t first,
                   std::int64_t count) {
  A* corner = table + first;
  Tile{}.for_each(first_row, past_row, count,
                  [=](std::int64_t row, std::int64_t j) { corner[row * features + j] = 0; });
}

constexpr std::int64_t features_a_block = 64;

// One of the two tables that a gradient is added to: its own memory, or, where it is narrow, sums in fp32 that join it at the end.
template <class A>
struct Sums {
  std::byte* gradient;  // [rows, features]; null: there are no positions
  DType dtype;
  Accumulate mode;
  std::int64_t rows;

  [[nodiscard]] bool direct() const { return dtype == dtype_of<A>; }
  [[nodiscard]] std::int64_t workspace_elements() const { return direct() ? 0 : rows * features_a_block; }

  // The first row's element 0, rows `stride` apart, so that element `first` is the block's first; cleared unless it adds.
  A* begin(A* workspace, const ControlBlock& control, std::int64_t features, std::int64_t first,
           std::int64_t count) const {
    if (gradient == nullptr) return nullptr;
    if (!direct()) {
      clear_columns(workspace, 0, rows, features_a_block, 0, count);
      return workspace - first;
    }
    A* const table = reinterpret_cast<A*>(gradient);
    if (!adds(mode, control)) clear_columns(table, 0, rows, features, first, count);
    return table;
  }
  [[nodiscard]] std::int64_t stride(std::int64_t features) const { return direct() ? features : features_a_block; }
  void end(const A* workspace, const ControlBlock& control, std::int64_t features, std::int64_t first,
           std::int64_t count) const {
    if constexpr (std::is_same_v<A, float>) {
      if (direct()) return;
      narrow_rows(dtype, workspace, features_a_block, gradient + first * size_bytes(dtype), features, rows, count,
                  adds(mode, control));
    }
  }
};

template <class A>
Sums<A> sums_of(const CpuBinding& binding, int write) {
  if (write >= static_cast<int>(binding.writes.size())) return {nullptr, dtype_of<A>, Accumulate::no, 0};
  return {binding.write<std::byte>(write), binding.write_type(write).dtype,
          binding.operation->writes[static_cast<std::size_t>(write)].accumulate, binding.write_type(write).shape[0]};
}

template <class T>
CpuRun bind_backward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const T* dx = binding.in<const T>(0);
  const Tokens all{binding.in<const std::int32_t>(1), binding.in_view(1).micro_stride};
  const Sums<A> table = sums_of<A>(binding, 0), positions = sums_of<A>(binding, 1);
  const Shape& shape = binding.in_view(0).shape;
  const std::int64_t rows = shape.rows(), sequence = shape[1], features = shape[2];
  const Chunks blocks{features, features_a_block};
  return
      [=, threads = binding.threads, control = binding.control, workspace = reinterpret_cast<A*>(binding.workspace)] {
        const std::int32_t* tokens = all.of(*control);
        threads->parallel_for_slots(blocks.count(), [=](std::int64_t block, int slot) {
          A* const of_table = workspace + slot * (table.workspace_elements() + positions.workspace_elements());
          A* const of_positions = of_table + table.workspace_elements();
          const std::int64_t first = blocks.begin(block), count = blocks.length(block);
          A* const to_table = table.begin(of_table, *control, features, first, count);
          A* const to_positions = positions.begin(of_positions, *control, features, first, count);
          for (std::int64_t row = 0; row < rows; ++row)
            embedding_gradient_row(Team{}, dx + row * features, to_table + tokens[row] * table.stride(features),
                                   row_of(to_positions, row % sequence, positions.stride(features)), first, count);
          table.end(of_table, *control, features, first, count);
          positions.end(of_positions, *control, features, first, count);
        });
      };
}

}  // namespace

CpuRun bind_embedding_cpu(const CpuBinding& binding) {
  return dispatch(binding.out_type(0).dtype, [&]<class T>() { return bind_forward<T>(binding); });
}

std::int64_t embedding_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  std::int64_t rows = 0;  // of sums in fp32, for each thread
  for (const Write& write : op.writes)
    if (const TensorType& type = program.state(write.state).type; size_bytes(type.dtype) < size_bytes(DType::fp32))
      rows += type.shape[0];
  return machine.threads * rows * features_a_block * size_bytes(DType::fp32);
}

CpuRun bind_embedding_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() { return bind_backward<T>(binding); });
}

}  // namespace stepscope
