#include <memory>
#include <vector>

#include "model/cpu/block_matmul.h"
#include "model/cpu/operands.h"
#include "model/cpu/team.h"
#include "model/cpu/threads.h"
#include "model/cpu/widen.h"
#include "model/cpu/workspace.h"
#include "model/operations/attention/attention_body.h"
#include "model/operations/attention/attention_cpu.h"
#include "model/operations/attention/attention_layout.h"

namespace stepscope {

namespace {

enum In { in_do, in_q, in_k, in_v, in_o, in_lse, in_masks };

// T: type of the operands, M: type that is multiplied. Each slot of the workspace holds one head: its sums of dk and dv, one block
// of scores and of their gradients, and, if operands are widened, the head's q, k, v and do.
template <class T, class M>
struct Backward {
  using A = Accumulator<T>;
  static constexpr bool widened = !std::is_same_v<T, M>;
  static constexpr bool rounded = !std::is_same_v<M, A>;

  HeadLayout layout;
  std::int64_t p = 0, ds = 0, p_multiplied = 0, ds_multiplied = 0, dk = 0, dv = 0, q = 0, k = 0, v = 0, dout = 0,
               dq = 0;
  std::int64_t scratch = 0, slot_bytes = 0;

  explicit Backward(const HeadLayout& heads) : layout(heads) {
    const std::int64_t S = layout.sequence, D = layout.head_dim;
    WorkspaceLayout slot;
    p = slot.place_elements<A>(query_block * S);
    ds = slot.place_elements<A>(query_block * S);
    p_multiplied = rounded ? slot.place_elements<M>(query_block * S) : p;
    ds_multiplied = rounded ? slot.place_elements<M>(query_block * S) : ds;
    dk = slot.place_elements<A>(S * D);
    dv = slot.place_elements<A>(S * D);
    if (widened) {
      for (std::int64_t* copy : {&q, &k, &v, &dout}) *copy = slot.place_elements<M>(S * D);
      dq = slot.place_elements<M>(query_block * D);
    }
    std::int64_t most = 0;
    for (std::int64_t block = 0; block < layout.blocks(); ++block)
      for (const TileSpec& spec : {score_spec(block), dp_spec(block), dv_spec(block), dk_spec(block), dq_spec(block)})
        most = std::max(most, BlockMatmul::scratch_bytes(spec));
    scratch = slot.place(most);
    slot_bytes = slot.total_bytes();
  }

  [[nodiscard]] std::int64_t in_stride() const { return widened ? layout.head_dim : layout.row_stride; }  // of q, k, v
  [[nodiscard]] std::int64_t do_stride() const { return widened ? layout.head_dim : layout.out_stride(); }

  [[nodiscard]] TileSpec score_spec(std::int64_t block) const {  // scores = q k^T
    return {.m = layout.rows(block),
            .n = layout.keys(block),
            .k = layout.head_dim,
            .transpose_b = true,
            .a_stride = in_stride(),
            .b_stride = in_stride(),
            .c_stride = layout.sequence,
            .in = dtype_of<M>,
            .out = dtype_of<A>};
  }
  [[nodiscard]] TileSpec dp_spec(std::int64_t block) const {  // dp = do v^T
    TileSpec spec = score_spec(block);
    spec.a_stride = do_stride();
    return spec;
  }
  [[nodiscard]] TileSpec dv_spec(std::int64_t block) const {  // dv += p^T do
    return {.m = layout.keys(block),
            .n = layout.head_dim,
            .k = layout.rows(block),
            .transpose_a = true,
            .a_stride = layout.sequence,
            .b_stride = do_stride(),
            .c_stride = layout.head_dim,
            .in = dtype_of<M>,
            .out = dtype_of<A>,
            .add = true};
  }
  [[nodiscard]] TileSpec dk_spec(std::int64_t block) const {  // dk += ds^T q
    TileSpec spec = dv_spec(block);
    spec.b_stride = in_stride();
    return spec;
  }
  [[nodiscard]] TileSpec dq_spec(std::int64_t block) const {  // dq = ds k
    return {.m = layout.rows(block),
            .n = layout.head_dim,
            .k = layout.keys(block),
            .a_stride = layout.sequence,
            .b_stride = in_stride(),
            .c_stride = in_stride(),
            .in = dtype_of<M>,
            .out = dtype_of<M>};
  }
};

template <class T, class M>
class BackwardRun {
 public:
  using Plan = Backward<T, M>;
  using A = typename Plan::A;

  explicit BackwardRun(const CpuBinding& binding)
      : plan_(head_layout(*binding.operation, in_q)),
        at_(binding),
        mask_(binding, plan_.layout, in_masks),
        scale_(static_cast<A>(binding.operation->attributes.scale)) {
    const int slots = binding.machine->threads;
    for (std::int64_t block = 0; block < plan_.layout.blocks(); ++block)
      matmuls_.push_back({{plan_.score_spec(block), slots},
                          {plan_.dp_spec(block), slots},
                          {plan_.dv_spec(block), slots},
                          {plan_.dk_spec(block), slots},
                          {plan_.dq_spec(block), slots}});
  }

  void operator()() const {
    const HeadLayout& l = plan_.layout;
    at_.threads->parallel_for_slots(l.batch * l.kv_heads, [&](std::int64_t task, int slot) {
      run_kv_head(task / l.kv_heads, task % l.kv_heads, slot);
    });
  }

 private:
  struct Matmuls {
    BlockMatmul scores, dp, dv, dk, dq;
  };
  struct Head {
    std::int64_t b, head;
    int slot;
    std::byte* mine;
    const M *q = nullptr, *k = nullptr, *v = nullptr, *dout = nullptr;  // first rows, as multiplied
  };

  // dk and dv grow by the kv head's queries one after the other.
  void run_kv_head(std::int64_t b, std::int64_t kv_head, int slot) const {
    const HeadLayout& l = plan_.layout;
    Head h{.b = b, .head = kv_head * l.queries, .slot = slot, .mine = at_.workspace + slot * plan_.slot_bytes};
    const std::int64_t keys_at = l.kv_at(b, kv_head, 0);
    h.k = multiplied(at_.in<const T>(in_k) + keys_at, l.row_stride, h.mine, plan_.k);
    h.v = multiplied(at_.in<const T>(in_v) + keys_at, l.row_stride, h.mine, plan_.v);
    auto *const dk = piece<A>(h.mine, plan_.dk), *const dv = piece<A>(h.mine, plan_.dv);
    zero_row(Team{}, dk, l.sequence * l.head_dim);
    zero_row(Team{}, dv, l.sequence * l.head_dim);
    for (std::int64_t query = 0; query < l.queries; ++query, ++h.head) {
      h.q = multiplied(at_.in<const T>(in_q) + l.q_at(b, h.head, 0), l.row_stride, h.mine, plan_.q);
      h.dout = multiplied(at_.in<const T>(in_do) + l.out_at(b, h.head, 0), l.out_stride(), h.mine, plan_.dout);
      for (std::int64_t block = 0; block < l.blocks(); ++block) run_block(h, block);
    }
    write_rows(dk, l.k_offset + keys_at);
    write_rows(dv, l.v_offset + keys_at);
  }

  // A head's rows as matmuls take them: themselves, or their copy in the workspace.
  const M* multiplied(const T* rows, std::int64_t stride, std::byte* mine, std::int64_t copy) const {
    if constexpr (Plan::widened) {
      M* const to = piece<M>(mine, copy);
      widen_rows(dtype_of<T>, rows, stride, to, plan_.layout.head_dim, plan_.layout.sequence, plan_.layout.head_dim);
      return to;
    } else {
      return rows;
    }
  }

  void run_block(const Head& h, std::int64_t block) const {
    const HeadLayout& l = plan_.layout;
    const Matmuls& matmuls = matmuls_[static_cast<std::size_t>(block)];
    const std::int64_t first = block * query_block;
    const M *const q = h.q + first * plan_.in_stride(), *const dout = h.dout + first * plan_.do_stride();
    auto *const p = piece<M>(h.mine, plan_.p_multiplied), *const ds = piece<M>(h.mine, plan_.ds_multiplied);
    void* const scratch = h.mine + plan_.scratch;
    matmuls.scores.run(h.slot, q, h.k, h.mine + plan_.p, scratch);
    matmuls.dp.run(h.slot, dout, h.v, h.mine + plan_.ds, scratch);
    for (std::int64_t row = 0; row < l.rows(block); ++row) run_row(h, first, row, l.keys(block));
    matmuls.dv.run(h.slot, p, dout, h.mine + plan_.dv, scratch);
    matmuls.dk.run(h.slot, ds, q, h.mine + plan_.dk, scratch);
    T* const dq = at_.out<T>(0) + l.q_offset + l.q_at(h.b, h.head, first);
    if constexpr (Plan::widened) {
      auto* const wide = piece<M>(h.mine, plan_.dq);
      matmuls.dq.run(h.slot, ds, h.k, wide, scratch);
      narrow_rows(dtype_of<T>, wide, l.head_dim, dq, l.row_stride, l.rows(block), l.head_dim);
    } else {
      matmuls.dq.run(h.slot, ds, h.k, dq, scratch);
    }
  }

  // Scores become p, do v^T becomes ds, and both are rounded for the matmuls that follow.
  void run_row(const Head& h, std::int64_t first, std::int64_t row, std::int64_t keys) const {
    const HeadLayout& l = plan_.layout;
    const std::int64_t statistic = l.statistic_at(h.b, h.head, first + row), out = l.out_at(h.b, h.head, first + row);
    A *const p = piece<A>(h.mine, plan_.p) + row * l.sequence, *const ds =
                                                                   piece<A>(h.mine, plan_.ds) + row * l.sequence;
    const A delta = dot_row(Team{}, at_.in<const T>(in_do) + out, at_.in<const T>(in_o) + out, l.head_dim);
    at_.out<A>(1)[statistic] = delta;
    const VisibleKeys seen = mask_.keys(h.b, h.head, first + row, at_.control->micro_step);
    weights_row(Team{}, p, seen, scale_, at_.in<const A>(in_lse)[statistic], keys);
    round_probabilities(Team{}, at_.operation->attributes.probabilities, p, keys);
    score_gradient_row(Team{}, p, ds, scale_, delta, keys);
    if constexpr (sizeof(T) < sizeof(A)) {
      round_row<T>(Team{}, p, piece<M>(h.mine, plan_.p_multiplied) + row * l.sequence, keys);
      round_row<T>(Team{}, ds, piece<M>(h.mine, plan_.ds_multiplied) + row * l.sequence, keys);
    }
  }

  void write_rows(const A* sums, std::int64_t offset) const {
    const HeadLayout& l = plan_.layout;
    for (std::int64_t row = 0; row < l.sequence; ++row)
      round_row<T>(Team{}, sums + row * l.head_dim, at_.out<T>(0) + offset + row * l.row_stride, l.head_dim);
  }

  Plan plan_;
  CpuBinding at_;
  MaskReader mask_;
  A scale_;
  std::vector<Matmuls> matmuls_;  // by block
};

}  // namespace

std::int64_t attention_gradient_cpu_workspace(const Program& program, const Operation& op, const Machine& machine) {
  return dispatch_attention(in_dtype(program, op, in_q), machine, [&]<class T, class M>() {
    return machine.threads * slot_bytes_of<Backward<T, M>>(head_layout(op, in_q));
  });
}

CpuRun bind_attention_gradient_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch_attention(binding.in_dtype(in_q), *binding.machine, [&]<class T, class M>() -> CpuRun {
    return [run = std::make_shared<const BackwardRun<T, M>>(binding)] { (*run)(); };
  });
}

}  // namespace stepscope
