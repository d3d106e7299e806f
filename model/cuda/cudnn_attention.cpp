#include "model/cuda/cudnn_attention.h"

#include "model/base/error.h"

#ifndef STEPSCOPE_CUDNN

namespace stepscope {

std::string why_no_cudnn() { return "this program was built without cuDNN's headers and its frontend's"; }

CudnnPlan plan_cudnn_attention(const CudnnAttentionShape&, CudnnPass, const std::string&, bool) {
  throw Unsupported(why_no_cudnn());
}

struct CudnnLibrary::Parts {};
CudnnLibrary::CudnnLibrary() = default;
CudnnLibrary::~CudnnLibrary() = default;
CudnnRun CudnnLibrary::bind(const CudnnAttentionShape&, CudnnPass, int, const CudnnOperands&) {
  throw Unsupported(why_no_cudnn());
}

}  // namespace stepscope

#else

#include <cudnn_frontend.h>

#include <cstdlib>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "model/cuda/cudnn_library.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;  // the frontend asks this for every function; set by why_no_cudnn
}

namespace stepscope {

namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;
using Sizes = std::vector<std::int64_t>;

void check(fe::error_t error, const char* what) {
  if (error.is_bad()) throw Unsupported(std::string("cuDNN: ") + what + ": " + error.get_message());
}
void check_call(cudnnStatus_t status, const char* what) {
  if (status != CUDNN_STATUS_SUCCESS)
    throw MachineError(std::string("cuDNN: ") + what + ": " + fe::detail::get_error_string(status));
}

// How a graph's tensors are numbered in a call; the frontend numbers the others behind them.
enum Uid : std::int64_t {
  q_uid = 1,
  k_uid,
  v_uid,
  o_uid,
  lse_uid,
  dout_uid,
  dq_uid,
  dk_uid,
  dv_uid,
  query_lengths_uid,
  key_lengths_uid
};

const void* operand_of(const CudnnOperands& operands, std::int64_t uid) {
  const void* const all[] = {operands.q,          operands.k,  operands.v,  operands.o,  operands.lse,
                             operands.dout,       operands.dq, operands.dk, operands.dv, operands.query_lengths,
                             operands.key_lengths};
  return uid >= q_uid && uid <= key_lengths_uid ? all[uid - q_uid] : nullptr;
}

// The tensors of a call, as attention_layout.h lays them out.
struct Layout {
  std::int64_t b, h, kv, s, d;  // of a call
  Sizes packed, out, statistic;  // strides of batch, head, row and feature
  std::int64_t statistic_alignment = 16;  // bytes, as all others

  explicit Layout(const CudnnAttentionShape& shape)
      : b(shape.batch),
        h(shape.queries > 1 ? shape.queries : shape.kv_heads),
        kv(shape.queries > 1 ? 1 : shape.kv_heads),
        s(shape.sequence),
        d(shape.head_dim) {
    const std::int64_t group = (shape.queries + 2) * d, row = shape.kv_heads * group,
                       heads = shape.kv_heads * shape.queries;
    packed = {s * row, shape.queries > 1 ? d : group, row, 1};
    out = {s * heads * d, d, heads * d, 1};
    statistic = {h * s, s, 1, 1};  // of a call, packed: cuDNN before 9.26 takes no other
    if (shape.calls() > 1 && b * h * s % 4 != 0) statistic_alignment = 4;  // the next call's begins there
  }
};

// What the graph is made for: a card that is here, by a handle, or one by its properties.
struct Card {
  cudnnHandle_t handle = nullptr;
  std::shared_ptr<const fe::DeviceProperties> properties = nullptr;
  int compute_capability = 90;
};

Card card_of(const std::string& device_properties) {
  auto properties = std::make_shared<fe::DeviceProperties>();
  std::vector<std::uint8_t> json(device_properties.begin(), device_properties.end());
  json.push_back(0);
  check(properties->deserialize(json), "device properties");
  constexpr std::string_view version = "\"deviceVer\":";  // 900 of compute capability 9.0
  const std::size_t at = device_properties.find(version);
  if (at == std::string::npos) throw UsageError("device properties: deviceVer is missing");
  return {.properties = std::move(properties),
          .compute_capability = std::atoi(device_properties.c_str() + at + version.size()) / 10};
}

class AttentionGraph : private fe::graph::Graph {
 public:
  AttentionGraph(const CudnnAttentionShape& shape, CudnnPass pass, Card card)
      : shape_(shape), layout_(shape), card_(std::move(card)) {
    const fe::DataType_t narrow = shape.dtype == DType::fp16 ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16;
    set_io_data_type(narrow)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT)
        .set_sm_version(card_.compute_capability)
        .set_cuda_graph_retention(fe::CudaGraphRetention_t::NONE);  // who captures keeps the library
    if (card_.properties != nullptr) set_device_properties(card_.properties);
    pass == CudnnPass::forward ? add_forward() : add_backward();
    check(validate(), "the graph");
    check(card_.handle != nullptr ? build_operation_graph(card_.handle) : build_operation_graph(),
          "the operation graph");
    check(create_execution_plans({fe::HeurMode_t::A}), "no engine");
    if (shape.deterministic) deselect_numeric_notes({fe::NumericalNote_t::NONDETERMINISTIC});
    if (get_execution_plan_count() == 0) throw Unsupported("cuDNN: no engine takes this attention");
  }

  // whole: with its kernel.
  [[nodiscard]] CudnnPlan plan(bool whole) {
    CudnnPlan plan{
        .engines = get_execution_plan_count(), .workspace_bytes = first_workspace_bytes(), .why_not_built = {}};
    if (!whole) return plan;
    fe::error_t built = build_plan_at_index(0);
    plan.built = built.is_good();
    plan.why_not_built = built.get_message();
    return plan;
  }

  // The first engine that is within so many bytes; before anything is executed.
  void choose(std::int64_t workspace_bytes) {
    // Of its own workspace the frontend would clear some before each call: only delta's, which needs none, is expected here.
    if (get_fe_workspace_size_subtree() > 4 * layout_.b * layout_.h * layout_.s)
      throw Unsupported("cuDNN: dq is not added in a fixed order");
    deselect_workspace_greater_than(workspace_bytes - frontend_bytes());
    check(check_support(), ("no engine within " + std::to_string(workspace_bytes) + " bytes").c_str());
    check(build_plans(fe::BuildPlanPolicy_t::HEURISTICS_CHOICE), "building the plan");
  }

  [[nodiscard]] cudnnBackendDescriptor_t chosen() const {
    return plans.execution_plans[static_cast<std::size_t>(plans.candidate)]->get_raw_desc();
  }

  // All that a call needs, addresses included.
  [[nodiscard]] std::shared_ptr<fe::detail::backend_descriptor> pack(const CudnnOperands& operands) const {
    std::vector<void*> pointers = varpack_template.template_ptrs;  // scalars are there
    for (const int slot : varpack_template.user_slots) {
      const auto at = static_cast<std::size_t>(slot);
      pointers[at] = const_cast<void*>(operand_of(operands, varpack_template.all_uids[at]));
      if (pointers[at] == nullptr) throw MachineError("cuDNN: an operand of its attention is missing");
    }
    auto* const workspace = static_cast<std::byte*>(operands.workspace);
    for (const auto& [slot, offset] : varpack_template.workspace_slots)
      pointers[static_cast<std::size_t>(slot)] = workspace + offset;
    auto made = std::make_shared<fe::detail::backend_descriptor>(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    check(fe::detail::create_variant_pack(*made, pointers, varpack_template.all_uids, workspace + frontend_bytes()),
          "the operands");
    return made;
  }

 private:
  // Of the workspace, before the engine's.
  [[nodiscard]] std::int64_t frontend_bytes() const { return round_up(get_fe_workspace_size_subtree(), 256); }

  void add_forward() {
    const Tensor q = packed("q", q_uid, layout_.h), k = packed("k", k_uid, layout_.kv),
                 v = packed("v", v_uid, layout_.kv);
    auto options = fe::graph::SDPA_attributes()
                       .set_name("attention")
                       .set_generate_stats(true)
                       .set_implementation(fe::AttentionImplementation_t::COMPOSITE);  // one graph for every mask
    set_masks(options);
    auto [o, statistic] = sdpa(q, k, v, options);
    o->set_output(true).set_uid(o_uid).set_dim({layout_.b, layout_.h, layout_.s, layout_.d}).set_stride(layout_.out);
    statistic->set_output(true)
        .set_uid(lse_uid)
        .set_data_type(fe::DataType_t::FLOAT)
        .set_stride(layout_.statistic)
        .set_alignment(layout_.statistic_alignment);
  }

  void add_backward() {
    const Tensor q = packed("q", q_uid, layout_.h), k = packed("k", k_uid, layout_.kv),
                 v = packed("v", v_uid, layout_.kv);
    const Tensor o = tensor_of("o", o_uid, layout_.h, layout_.d, layout_.out),
                 dout = tensor_of("do", dout_uid, layout_.h, layout_.d, layout_.out),
                 statistic = tensor_of("lse", lse_uid, layout_.h, 1, layout_.statistic);
    statistic->set_data_type(fe::DataType_t::FLOAT).set_alignment(layout_.statistic_alignment);
    auto options = fe::graph::SDPA_backward_attributes().set_name("attention_gradient");
    options.set_deterministic_algorithm(shape_.deterministic);
    set_masks(options);
    const auto gradients = sdpa_backward(q, k, v, o, dout, statistic, options);
    const std::int64_t heads[] = {layout_.h, layout_.kv, layout_.kv};
    for (std::size_t i = 0; i < gradients.size(); ++i)
      gradients[i]
          ->set_output(true)
          .set_uid(dq_uid + static_cast<std::int64_t>(i))
          .set_dim({layout_.b, heads[i], layout_.s, layout_.d})
          .set_stride(layout_.packed);
  }

  Tensor tensor_of(const char* name, std::int64_t uid, std::int64_t heads, std::int64_t width, const Sizes& strides) {
    return tensor(fe::graph::Tensor_attributes()
                      .set_name(name)
                      .set_uid(uid)
                      .set_dim({layout_.b, heads, layout_.s, width})
                      .set_stride(strides));
  }
  Tensor packed(const char* name, std::int64_t uid, std::int64_t heads) {
    return tensor_of(name, uid, heads, layout_.d, layout_.packed);
  }
  Tensor lengths(const char* name, std::int64_t uid) {
    return tensor(fe::graph::Tensor_attributes()
                      .set_name(name)
                      .set_uid(uid)
                      .set_dim({layout_.b, 1, 1, 1})
                      .set_stride({1, 1, 1, 1})
                      .set_data_type(fe::DataType_t::INT32));
  }

  template <class Options>
  void set_masks(Options& options) {
    options.set_attn_scale(static_cast<float>(shape_.scale));
    if (shape_.causal)
      options.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT).set_diagonal_band_right_bound(0);
    if (shape_.lengths)
      options.set_padding_mask(true)
          .set_seq_len_q(lengths("query_lengths", query_lengths_uid))
          .set_seq_len_kv(lengths("key_lengths", key_lengths_uid));
  }

  // The frontend tells a plan's workspace once it is built; the library knows that of a configuration before.
  std::int64_t first_workspace_bytes() {
    fe::EngineConfigList configurations;
    check(fe::detail::query_cudnn_heuristics_impl(operation_graph, configurations, {fe::HeurMode_t::A}, -1,
                                                  card_.properties),
          "the heuristic");
    std::int64_t bytes = 0;
    check(fe::detail::get_workspace_size(configurations.front(), bytes), "the workspace");
    return bytes + get_fe_workspace_size_subtree();
  }

  CudnnAttentionShape shape_;
  Layout layout_;
  Card card_;
};

void require_cudnn(const CudnnAttentionShape& shape) {
  if (const std::string why = why_no_cudnn(); !why.empty()) throw Unsupported(why);
  if (size_bytes(shape.dtype) != 2) throw Unsupported("cuDNN: its fused attention takes bf16 and fp16");
}

}  // namespace

std::string why_no_cudnn() {
  fe::cudnn_dlhandle = cudnn_file().handle;
  return cudnn_file().why_not;
}

CudnnPlan plan_cudnn_attention(const CudnnAttentionShape& shape, CudnnPass pass, const std::string& device_properties,
                               bool whole) {
  require_cudnn(shape);
  return AttentionGraph(shape, pass, card_of(device_properties)).plan(whole);
}

struct CudnnLibrary::Parts {
  cudnnHandle_t handle = nullptr;
  std::map<std::tuple<CudnnAttentionShape, CudnnPass, std::int64_t>, std::shared_ptr<AttentionGraph> >
      graphs;  // by workspace, too

  Parts() { check_call(fe::detail::create_handle(&handle), "cudnnCreate"); }
  ~Parts() {
    graphs.clear();
    (void)fe::detail::destroy_handle(handle);
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
};

CudnnLibrary::CudnnLibrary() = default;
CudnnLibrary::~CudnnLibrary() = default;

CudnnRun CudnnLibrary::bind(const CudnnAttentionShape& shape, CudnnPass pass, int compute_capability,
                            const CudnnOperands& operands) {
  require_cudnn(shape);
  if (parts_ == nullptr) parts_ = std::make_unique<Parts>();
  std::shared_ptr<AttentionGraph>& graph = parts_->graphs[{shape, pass, operands.workspace_bytes}];
  if (graph == nullptr) {
    graph = std::make_shared<AttentionGraph>(shape, pass,
                                             Card{.handle = parts_->handle, .compute_capability = compute_capability});
    graph->choose(operands.workspace_bytes);
  }
  return [handle = parts_->handle, graph, pack = graph->pack(operands)](CUstream_st* stream) {
    check_call(fe::detail::set_stream(handle, stream), "cudnnSetStream");
    check_call(fe::detail::execute(handle, graph->chosen(), pack->get_ptr()), "attention");
  };
}

}  // namespace stepscope

#endif
