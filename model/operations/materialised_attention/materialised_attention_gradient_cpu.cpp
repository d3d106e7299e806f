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
#include "model/operations/materialised_attention/materialised_attention_cpu.h"

namespace stepscope {

namespace {

enum In { in_do, in_q, in_k, in_v, in_p, in_p_compute };

// T: type of the operands, M: type that is multiplied. Each slot of the workspace holds one head: its sums of dk and dv, one block's dp,
// scaled queries and dqs, and, if operands are widened, the head's k, v and do and one block of p and ds.
template <class T, class M>
struct Backward {
  using A = Accumulator<T>;
  static constexpr bool widened = !std::is_same_v<T, M>;

  HeadLayout layout;
  bool rounds;  // p is stored in a narrow type
  std::int64_t dp = 0, qs = 0, dqs = 0, dk = 0, dv = 0, k = 0, v = 0, dout = 0, p = 0, ds = 0, wide_p = 0, scratch = 0,
               slot_bytes = 0;

  explicit Backward(const Operation& op) : layout(head_layout(op, in_q)), rounds(rounds_probabilities(op)) {
    const std::int64_t S = layout.sequence, D = layout.head_dim;
    WorkspaceLayout slot;
    dp = slot.place_elements<A>(query_block * S);
    qs = slot.place_elements<M>(query_block * D);
    dqs = slot.place_elements<M>(query_block * D);
    dk = slot.place_elements<A>(S * D);
    dv = slot.place_elements<A>(S * D);
    if (widened) {
      for (std::int64_t* copy : {&k, &v, &dout}) *copy = slot.place_elements<M>(S * D);
      for (std::int64_t* copy : {&p, &ds}) *copy = slot.place_elements<M>(query_block * S);
    }
    if (rounds) wide_p = slot.place_elements<A>(query_block * S);
    std::int64_t most = 0;
    for (std::int64_t block = 0; block < layout.blocks(); ++block)
      for (const TileSpec& spec : {dp_spec(block), dv_spec(block), dk_spec(block), dqs_spec(block)})
        most = std::max(most, BlockMatmul::scratch_bytes(spec));
    scratch = slot.place(most);
    slot_bytes = slot.total_bytes();
  }

  [[nodiscard]] std::int64_t in_stride() const { return widened ? layout.head_dim : layout.row_stride; }  // of k and v
  [[nodiscard]] std::int64_t do_stride() const { return widened ? layout.head_dim : layout.out_stride(); }

  [[nodiscard]] TileSpec dp_spec(std::int64_t block) const {  // dp = do v^T
    return {.m = layout.rows(block),
            .n = layout.keys(block),
            .k = layout.head_dim,
            .transpose_b = true,
            .a_stride = do_stride(),
            .b_stride = in_stride(),
            .c_stride = layout.sequence,
            .in = dtype_of<M>,
            .out = dtype_of<A>};
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
  [[nodiscard]] TileSpec dk_spec(std::int64_t block) const {  // dk += ds^T qs
    TileSpec spec = dv_spec(block);
    spec.b_stride = layout.head_dim;
    return spec;
  }
  [[nodiscard]] TileSpec dqs_spec(std::int64_t block) const {  // dqs = ds k
    return {.m = layout.rows(block),
            .n = layout.head_dim,
            .k = layout.keys(block),
            .a_stride = layout.sequence,
            .b_stride = in_stride(),
            .c_stride = layout.head_dim,
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
      : plan_(*binding.operation), at_(binding), scale_(static_cast<A>(binding.operation->attributes.scale)) {
    const int slots = binding.machine->threads;
    for (std::int64_t block = 0; block < plan_.layout.blocks(); ++block)
      matmuls_.push_back({{plan_.dp_spec(block), slots},
                          {plan_.dv_spec(block), slots},
                          {plan_.dk_spec(block), slots},
                          {plan_.dqs_spec(block), slots}});
  }

  void operator()() const {
    const HeadLayout& l = plan_.layout;
    at_.threads->parallel_for_slots(l.batch * l.kv_heads, [&](std::int64_t task, int slot) {
      run_kv_head(task / l.kv_heads, task % l.kv_heads, slot);
    });
  }

 private:
  struct Matmuls {
    BlockMatmul dp, dv, dk, dqs;
  };
  struct Head {
    std::int64_t b, head;
    int slot;
    std::byte* mine;
    const M *k = nullptr, *v = nullptr, *dout = nullptr;  // first rows, as multiplied
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
      h.dout = multiplied(at_.in<const T>(in_do) + l.out_at(b, h.head, 0), l.out_stride(), h.mine, plan_.dout);
      for (std::int64_t block = 0; block < l.blocks(); ++block) run_block(h, block);
    }
    for (std::int64_t row = 0; row < l.sequence; ++row) {
      T* const packed = at_.out<T>(0) + l.kv_at(b, kv_head, row);
      round_row<T>(Team{}, dk + row * l.head_dim, packed + l.k_offset, l.head_dim);
      round_row<T>(Team{}, dv + row * l.head_dim, packed + l.v_offset, l.head_dim);
    }
  }

  // A head's rows as matmuls take them: themselves, or their copy in the workspace.
  const M* multiplied(const T* rows, std::int64_t stride, std::byte* mine, std::int64_t copy) const {
    if constexpr (Plan::widened)
      return widen(rows, stride, piece<M>(mine, copy), plan_.layout.sequence, plan_.layout.head_dim);
    else
      return rows;
  }

  static const M* widen(const T* from, std::int64_t stride, M* to, std::int64_t rows, std::int64_t columns) {
    widen_rows(dtype_of<T>, from, stride, to, columns, rows, columns);
    return to;
  }

  void run_block(const Head& h, std::int64_t block) const {
    const HeadLayout& l = plan_.layout;
    const Matmuls& matmuls = matmuls_[static_cast<std::size_t>(block)];
    const std::int64_t first = block * query_block, rows = l.rows(block), D = l.head_dim;
    const M* const dout = h.dout + first * plan_.do_stride();
    auto *const qs = piece<M>(h.mine, plan_.qs), *const dqs = piece<M>(h.mine, plan_.dqs);
    void* const scratch = h.mine + plan_.scratch;
    matmuls.dp.run(h.slot, dout, h.v, h.mine + plan_.dp, scratch);
    const M* const ds = score_gradients(h, first, rows, l.keys(block));
    for (std::int64_t row = 0; row < rows; ++row)
      scale_row<T>(Team{}, at_.in<const T>(in_q) + l.q_at(h.b, h.head, first + row), qs + row * D, scale_, D);
    matmuls.dv.run(h.slot, weights(h, first, rows), dout, h.mine + plan_.dv, scratch);
    matmuls.dk.run(h.slot, ds, qs, h.mine + plan_.dk, scratch);
    matmuls.dqs.run(h.slot, ds, h.k, dqs, scratch);
    for (std::int64_t row = 0; row < rows; ++row)
      scale_row<T>(Team{}, dqs + row * D, at_.out<T>(0) + l.q_offset + l.q_at(h.b, h.head, first + row), scale_, D);
  }

  // A block of p: itself, or its copy in the workspace.
  const A* probabilities(const Head& h, std::int64_t block_at, std::int64_t rows) const {
    const std::int64_t S = plan_.layout.sequence;
    if (!plan_.rounds) return at_.in<const A>(in_p) + block_at;
    A* const wide = piece<A>(h.mine, plan_.wide_p);
    dispatch(at_.in_dtype(in_p), [&]<class P>() {
      const P* const p = at_.in<const P>(in_p) + block_at;
      Team{}.for_each(rows * S, [=](std::int64_t i) { wide[i] = static_cast<A>(load(p[i])); });
    });
    return wide;
  }

  // Writes whole rows of the output ds; returns the first of them as multiplied.
  const M* score_gradients(const Head& h, std::int64_t first, std::int64_t rows, std::int64_t keys) const {
    const std::int64_t S = plan_.layout.sequence, block_at = plan_.layout.statistic_at(h.b, h.head, first) * S;
    T* const ds = at_.out<T>(1) + block_at;
    const A* const p = probabilities(h, block_at, rows);
    for (std::int64_t row = 0; row < rows; ++row)
      softmax_gradient_row(Team{}, p + row * S, piece<const A>(h.mine, plan_.dp) + row * S, ds + row * S, keys, S);
    if constexpr (Plan::widened)
      return widen(ds, S, piece<M>(h.mine, plan_.ds), rows, S);
    else
      return ds;
  }

  // After score_gradients of the same block.
  [[nodiscard]] const M* weights(const Head& h, std::int64_t first, std::int64_t rows) const {
    const std::int64_t S = plan_.layout.sequence, block_at = plan_.layout.statistic_at(h.b, h.head, first) * S;
    const int narrow = at_.ins.size() > in_p_compute ? in_p_compute : in_p;
    if constexpr (Plan::widened)
      return widen(at_.in<const T>(narrow) + block_at, S, piece<M>(h.mine, plan_.p), rows, S);
    else if constexpr (std::is_same_v<M, A>)
      return plan_.rounds ? piece<const A>(h.mine, plan_.wide_p) : at_.in<const M>(in_p) + block_at;
    else
      return at_.in<const M>(narrow) + block_at;
  }

  Plan plan_;
  CpuBinding at_;
  A scale_;
  std::vector<Matmuls> matmuls_;  // by block
};

}  // namespace

std::int64_t materialised_attention_gradient_cpu_workspace(const Program& program, const Operation& op,
                                                           const Machine& machine) {
  return dispatch_attention(in_dtype(program, op, in_q), machine,
                            [&]<class T, class M>() { return machine.threads * Backward<T, M>(op).slot_bytes; });
}

CpuRun bind_materialised_attention_gradient_cpu(const CpuBinding& binding) {
  check_slots(binding);
  return dispatch_attention(binding.in_dtype(in_q), *binding.machine, [&]<class T, class M>() -> CpuRun {
    return [run = std::make_shared<const BackwardRun<T, M>>(binding)] { (*run)(); };
  });
}

}  // namespace stepscope
