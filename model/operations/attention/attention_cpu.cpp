#include "model/operations/attention/attention_cpu.h"

#include <memory>
#include <vector>

#include "model/cpu/block_matmul.h"
#include "model/cpu/operands.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/widen.h"
#include "model/cpu/workspace.h"
#include "model/operations/attention/attention_body.h"
#include "model/operations/attention/attention_layout.h"

namespace stepscope {

namespace {

// T: type of the operands, M: type that is multiplied. Each slot of the workspace holds one block.
template <class T, class M>
struct Forward {
  using A = Accumulator<T>;
  static constexpr bool widened = !std::is_same_v<T, M>;  // operands are copied into M first
  static constexpr bool rounded = !std::is_same_v<M, A>;  // weights are copied into M before they meet v

  HeadLayout layout;
  std::int64_t scores = 0, weights = 0, q = 0, k = 0, v = 0, o = 0, scratch = 0, slot_bytes = 0;

  explicit Forward(const HeadLayout& heads) : layout(heads) {
    const std::int64_t S = layout.sequence, D = layout.head_dim;
    WorkspaceLayout slot;
    scores = slot.place_elements<A>(query_block * S);
    weights = rounded ? slot.place_elements<M>(query_block * S) : scores;
    if (widened) {
      q = slot.place_elements<M>(query_block * D);
      k = slot.place_elements<M>(S * D);
      v = slot.place_elements<M>(S * D);
      o = slot.place_elements<M>(query_block * D);
    }
    std::int64_t most = 0;
    for (std::int64_t block = 0; block < layout.blocks(); ++block)
      most =
          std::max({most, BlockMatmul::scratch_bytes(score_spec(block)), BlockMatmul::scratch_bytes(out_spec(block))});
    scratch = slot.place(most);
    slot_bytes = slot.total_bytes();
  }

  [[nodiscard]] TileSpec score_spec(std::int64_t block) const {  // scores = q k^T
    const std::int64_t stride = widened ? layout.head_dim : layout.row_stride;
    return {.m = layout.rows(block),
            .n = layout.keys(block),
            .k = layout.head_dim,
            .transpose_b = true,
            .a_stride = stride,
            .b_stride = stride,
            .c_stride = layout.sequence,
            .in = dtype_of<M>,
            .out = dtype_of<A>};
  }
  [[nodiscard]] TileSpec out_spec(std::int64_t block) const {  // o = weights v
    return {.m = layout.rows(block),
            .n = layout.head_dim,
            .k = layout.keys(block),
            .a_stride = layout.sequence,
            .b_stride = widened ? layout.head_dim : layout.row_stride,
            .c_stride = widened ? layout.head_dim : layout.out_stride(),
            .in = dtype_of<M>,
            .out = dtype_of<M>};
  }
};

template <class T, class M>
class ForwardRun {
 public:
  using Plan = Forward<T, M>;
  using A = typename Plan::A;

  explicit ForwardRun(const CpuBinding& binding)
      : plan_(head_layout(*binding.operation, 0)),
        at_(binding),
        mask_(binding, plan_.layout, 3),
        scale_(static_cast<A>(binding.operation->attributes.scale)) {
    for (std::int64_t block = 0; block < plan_.layout.blocks(); ++block) {
      score_matmul_.emplace_back(plan_.score_spec(block), binding.machine->threads);
      out_matmul_.emplace_back(plan_.out_spec(block), binding.machine->threads);
    }
  }

  void operator()() const {
    const HeadLayout& l = plan_.layout;
    at_.threads->parallel_for_slots(l.batch * l.heads * l.blocks(), [&](std::int64_t task, int slot) {
      const std::int64_t block = l.blocks() - 1 - task % l.blocks();  // the longest first
      const std::int64_t head = task / l.blocks() % l.heads, b = task / l.blocks() / l.heads;
      run_block(b, head, block, slot);
    });
  }

 private:
  void run_block(std::int64_t b, std::int64_t head, std::int64_t block, int slot) const {
    const HeadLayout& l = plan_.layout;
    const std::int64_t first = block * query_block, rows = l.rows(block), keys = l.keys(block), D = l.head_dim;
    std::byte* const mine = at_.workspace + slot * plan_.slot_bytes;
    void* const scratch = mine + plan_.scratch;
    auto* const scores = piece<A>(mine, plan_.scores);
    const T* const q = at_.in<const T>(0) + l.q_at(b, head, first);
    const std::int64_t keys_at = l.kv_at(b, l.kv_head(head), 0);
    const T *const k = at_.in<const T>(1) + keys_at, *const v = at_.in<const T>(2) + keys_at;
    T* const o = at_.out<T>(0) + l.out_at(b, head, first);
    const auto index = static_cast<std::size_t>(block);
    if constexpr (Plan::widened) {
      auto* const wide_q = piece<M>(mine, plan_.q);
      auto *const wide_k = piece<M>(mine, plan_.k), *const wide_v = piece<M>(mine, plan_.v);
      auto* const wide_o = piece<M>(mine, plan_.o);
      widen_rows(dtype_of<T>, q, l.row_stride, wide_q, D, rows, D);
      widen_rows(dtype_of<T>, k, l.row_stride, wide_k, D, keys, D);
      widen_rows(dtype_of<T>, v, l.row_stride, wide_v, D, keys, D);
      score_matmul_[index].run(slot, wide_q, wide_k, scores, scratch);
      softmax_block(b, head, first, rows, keys, mine);
      out_matmul_[index].run(slot, piece<M>(mine, plan_.weights), wide_v, wide_o, scratch);
      narrow_rows(dtype_of<T>, wide_o, D, o, l.out_stride(), rows, D);
    } else {
      score_matmul_[index].run(slot, q, k, scores, scratch);
      softmax_block(b, head, first, rows, keys, mine);
      out_matmul_[index].run(slot, piece<M>(mine, plan_.weights), v, o, scratch);
    }
  }

  void softmax_block(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows, std::int64_t keys,
                     std::byte* mine) const {
    const HeadLayout& l = plan_.layout;
    for (std::int64_t row = 0; row < rows; ++row) {
      A* const scores = piece<A>(mine, plan_.scores) + row * l.sequence;
      const VisibleKeys seen = mask_.keys(b, head, first + row, at_.control->micro_step);
      at_.out<A>(1)[l.statistic_at(b, head, first + row)] = softmax_row(Team{}, scores, seen, scale_, keys);
      round_probabilities(Team{}, at_.operation->attributes.probabilities, scores, keys);
      if constexpr (sizeof(T) < sizeof(A))
        round_row<T>(Team{}, scores, piece<M>(mine, plan_.weights) + row * l.sequence, keys);
    }
  }

  Plan plan_;
  CpuBinding at_;
  MaskReader mask_;
  A scale_;
  std::vector<BlockMatmul> score_matmul_, out_matmul_;  // by block
};

}  // namespace

std::int64_t attention_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return dispatch_attention(in_dtype(program, op, 0), machine, [&]<class T, class M>() {
    return machine.threads * slot_bytes_of<Forward<T, M>>(head_layout(op, 0));
  });
}

CpuRun bind_attention_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch_attention(binding.in_dtype(0), *binding.machine, [&]<class T, class M>() -> CpuRun {
    return [run = std::make_shared<const ForwardRun<T, M>>(binding)] { (*run)(); };
  });
}

}  // namespace stepscope
