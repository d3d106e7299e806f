#include "model/operations/materialised_attention/materialised_attention_cpu.h"

#include <memory>
#include <vector>

#include "model/cpu/block_matmul.h"
#include "model/cpu/operands.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/widen.h"
#include "model/cpu/workspace.h"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_body.h"
#include "model/operations/attention/attention_layout.h"
#include "model/operations/materialised_attention/materialised_attention_body.h"

namespace stepscope {

namespace {

// T: type of the operands, M: type that is multiplied. Each slot of the workspace holds one block's scaled queries and what is widened.
template <class T, class M>
struct Forward {
  using A = Accumulator<T>;
  static constexpr bool widened = !std::is_same_v<T, M>;

  HeadLayout layout;
  bool rounds;  // p is stored in a narrow type: scores are made in the workspace
  std::int64_t q = 0, k = 0, v = 0, weights = 0, o = 0, scores = 0, scratch = 0, slot_bytes = 0;

  explicit Forward(const Operation& op) : layout(head_layout(op, 0)), rounds(rounds_probabilities(op)) {
    const std::int64_t S = layout.sequence, D = layout.head_dim;
    WorkspaceLayout slot;
    q = slot.place_elements<M>(query_block * D);
    if (widened) {
      k = slot.place_elements<M>(S * D);
      v = slot.place_elements<M>(S * D);
      weights = slot.place_elements<M>(query_block * S);
      o = slot.place_elements<M>(query_block * D);
    }
    if (rounds) scores = slot.place_elements<A>(query_block * S);
    std::int64_t most = 0;
    for (std::int64_t block = 0; block < layout.blocks(); ++block)
      most =
          std::max({most, BlockMatmul::scratch_bytes(score_spec(block)), BlockMatmul::scratch_bytes(out_spec(block))});
    scratch = slot.place(most);
    slot_bytes = slot.total_bytes();
  }

  [[nodiscard]] std::int64_t in_stride() const { return widened ? layout.head_dim : layout.row_stride; }  // of k and v

  [[nodiscard]] TileSpec score_spec(std::int64_t block) const {  // p = qs k^T, scores at first
    return {.m = layout.rows(block),
            .n = layout.keys(block),
            .k = layout.head_dim,
            .transpose_b = true,
            .a_stride = layout.head_dim,
            .b_stride = in_stride(),
            .c_stride = layout.sequence,
            .in = dtype_of<M>,
            .out = dtype_of<A>};
  }
  [[nodiscard]] TileSpec out_spec(std::int64_t block) const {  // o = weights v
    return {.m = layout.rows(block),
            .n = layout.head_dim,
            .k = layout.keys(block),
            .a_stride = layout.sequence,
            .b_stride = in_stride(),
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
      : plan_(*binding.operation),
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
      run_block(task / l.blocks() / l.heads, task / l.blocks() % l.heads, block, slot);
    });
  }

 private:
  void run_block(std::int64_t b, std::int64_t head, std::int64_t block, int slot) const {
    const HeadLayout& l = plan_.layout;
    const std::int64_t first = block * query_block, rows = l.rows(block), keys = l.keys(block), D = l.head_dim;
    std::byte* const mine = at_.workspace + slot * plan_.slot_bytes;
    void* const scratch = mine + plan_.scratch;
    const std::int64_t keys_at = l.kv_at(b, l.kv_head(head), 0);
    const T *k = at_.in<const T>(1) + keys_at, *v = at_.in<const T>(2) + keys_at;
    T* const o = at_.out<T>(0) + l.out_at(b, head, first);
    auto* const qs = piece<M>(mine, plan_.q);
    A* const p = scores_of(mine, l.statistic_at(b, head, first) * l.sequence);
    for (std::int64_t row = 0; row < rows; ++row)
      scale_row<T>(Team{}, at_.in<const T>(0) + l.q_at(b, head, first + row), qs + row * D, scale_, D);
    const auto index = static_cast<std::size_t>(block);
    if constexpr (Plan::widened) {
      auto *const wide_k = piece<M>(mine, plan_.k), *const wide_v = piece<M>(mine, plan_.v),
                  *const wide_o = piece<M>(mine, plan_.o);
      widen_rows(dtype_of<T>, k, l.row_stride, wide_k, D, keys, D);
      widen_rows(dtype_of<T>, v, l.row_stride, wide_v, D, keys, D);
      score_matmul_[index].run(slot, qs, wide_k, p, scratch);
      const M* const weights = softmax_block(b, head, first, rows, keys, mine);
      out_matmul_[index].run(slot, weights, wide_v, wide_o, scratch);
      narrow_rows(dtype_of<T>, wide_o, D, o, l.out_stride(), rows, D);
    } else {
      score_matmul_[index].run(slot, qs, k, p, scratch);
      const M* const weights = softmax_block(b, head, first, rows, keys, mine);
      out_matmul_[index].run(slot, weights, v, o, scratch);
    }
  }

  // Where a block's scores are made: in p itself, or in the workspace.
  A* scores_of(std::byte* mine, std::int64_t block_at) const {
    return plan_.rounds ? piece<A>(mine, plan_.scores) : at_.out<A>(1) + block_at;
  }

  // Scores become p, whole rows of it, and p_compute where there is one. Returns the first row of what meets v.
  const M* softmax_block(std::int64_t b, std::int64_t head, std::int64_t first, std::int64_t rows, std::int64_t keys,
                         std::byte* mine) const {
    const HeadLayout& l = plan_.layout;
    const std::int64_t S = l.sequence, block_at = l.statistic_at(b, head, first) * S;
    for (std::int64_t row = 0; row < rows; ++row) {
      A* const p = scores_of(mine, block_at) + row * S;
      (void)softmax_row(Team{}, p, mask_.keys(b, head, first + row, at_.control->micro_step), A(1), keys);
      zero_row(Team{}, p + keys, S - keys);
      if (plan_.rounds) store_rounded(p, block_at + row * S);
      if constexpr (sizeof(T) < sizeof(A)) {
        if (at_.outs.size() > 2) round_row<T>(Team{}, p, at_.out<T>(2) + block_at + row * S, S);
        if constexpr (Plan::widened) round_row<T>(Team{}, p, piece<M>(mine, plan_.weights) + row * S, S);
      }
    }
    if constexpr (Plan::widened) return piece<M>(mine, plan_.weights);
    if constexpr (std::is_same_v<M, A>) return scores_of(mine, block_at);
    return at_.out<M>(static_cast<int>(at_.outs.size()) - 1) + block_at;  // p_compute, or p where it is of its type
  }

  void store_rounded(A* p, std::int64_t at) const {
    const DType narrow = at_.operation->attributes.probabilities;
    round_probabilities(Team{}, narrow, p, plan_.layout.sequence);
    dispatch(narrow, [&]<class P>() { round_row<P>(Team{}, p, at_.out<P>(1) + at, plan_.layout.sequence); });
  }

  Plan plan_;
  CpuBinding at_;
  MaskReader mask_;
  A scale_;
  std::vector<BlockMatmul> score_matmul_, out_matmul_;  // by block
};

}  // namespace

std::int64_t materialised_attention_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return dispatch_attention(in_dtype(program, op, 0), machine,
                            [&]<class T, class M>() { return machine.threads * Forward<T, M>(op).slot_bytes; });
}

CpuRun bind_materialised_attention_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch_attention(binding.in_dtype(0), *binding.machine, [&]<class T, class M>() -> CpuRun {
    return [run = std::make_shared<const ForwardRun<T, M>>(binding)] { (*run)(); };
  });
}

}  // namespace stepscope
