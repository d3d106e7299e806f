#include "model/operations/embedding/embedding_cpu.h"

#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/tile.h"
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

template <class T>
CpuRun bind_backward(const CpuBinding& binding) {
  using A = Accumulator<T>;
  const T* dx = binding.in<const T>(0);
  const Tokens all{binding.in<const std::int32_t>(1), binding.in_view(1).micro_stride};
  const std::vector<Write>& writes = binding.operation->writes;
  const bool learned = writes.size() > 1;
  A *table = binding.write<A>(0), *positions = learned ? binding.write<A>(1) : nullptr;
  const Accumulate table_mode = writes[0].accumulate, position_mode = learned ? writes[1].accumulate : Accumulate::no;
  const Shape& shape = binding.in_view(0).shape;
  const std::int64_t rows = shape.rows(), sequence = shape[1], features = shape[2];
  const std::int64_t vocabulary = binding.write_type(0).shape[0];
  const std::int64_t longest = learned ? binding.write_type(1).shape[0] : 0;
  const Chunks blocks{features, 64};
  return [=, threads = binding.threads, control = binding.control] {
    const std::int32_t* tokens = all.of(*control);
    const bool table_adds = adds(table_mode, *control), positions_add = adds(position_mode, *control);
    threads->parallel_for(blocks.count(), [=](std::int64_t block) {
      const std::int64_t first = blocks.begin(block), count = blocks.length(block);
      if (!table_adds) clear_columns(table, 0, vocabulary, features, first, count);
      if (!positions_add) clear_columns(positions, 0, longest, features, first, count);
      for (std::int64_t row = 0; row < rows; ++row)
        embedding_gradient_row(Team{}, dx + row * features, table + tokens[row] * features,
                               row_of(positions, row % sequence, features), first, count);
    });
  };
}

}  // namespace

CpuRun bind_embedding_cpu(const CpuBinding& binding) {
  return dispatch(binding.out_type(0).dtype, [&]<class T>() { return bind_forward<T>(binding); });
}

CpuRun bind_embedding_gradient_cpu(const CpuBinding& binding) {
  return dispatch(binding.in_dtype(0), [&]<class T>() { return bind_backward<T>(binding); });
}

}  // namespace stepscope
