#include "model/cuda/cudnn_attention.h"

#include "model/base/error.h"

#ifndef STEPSCOPE_CUDNN

namespace stepscope {

std::string why_no_cudnn() { return "this program was built without cuDNN's headers and its frontend's"; }

CudnnPlan plan_cudnn_attention(const CudnnAttentionShape&, CudnnPass, const std::string&, bool) {
  throw Unsupported(why_no_cudnn());
}

}  // namespace stepscope

#else

#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <memory>
#include <vector>

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

// The tensors of a call, as attention_layout.h lays them out.
struct Layout {
  std::int64_t b, h, kv, s, d;  // of a call
  Sizes packed, out, statistic;  // strides of batch, head, row and feature

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
  }
};

// The frontend tells a plan's workspace once it is built; the library knows that of a configuration before.
class FrontendGraph : public fe::graph::Graph {
 public:
  std::int64_t workspace_bytes(const std::shared_ptr<const fe::DeviceProperties>& properties) {
    fe::EngineConfigList configurations;
    check(fe::detail::query_cudnn_heuristics_impl(operation_graph, configurations, {fe::HeurMode_t::A}, -1, properties),
          "the heuristic");
    std::int64_t bytes = 0;
    check(fe::detail::get_workspace_size(configurations.front(), bytes), "the workspace");
    return bytes + get_fe_workspace_size_subtree();
  }
};

class Graph {
 public:
  Graph(const CudnnAttentionShape& shape, const std::string& device_properties) : shape_(shape), layout_(shape) {
    properties_ = std::make_shared<fe::DeviceProperties>();
    std::vector<std::uint8_t> json(device_properties.begin(), device_properties.end());
    json.push_back(0);
    check(properties_->deserialize(json), "device properties");
    const fe::DataType_t narrow = shape.dtype == DType::fp16 ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16;
    graph_.set_io_data_type(narrow)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT)
        .set_sm_version(90)
        .set_device_properties(properties_);
  }

  void add_forward() {
    const Tensor q = packed("q", layout_.h), k = packed("k", layout_.kv), v = packed("v", layout_.kv);
    auto options = fe::graph::SDPA_attributes().set_name("attention").set_generate_stats(true);
    set_masks(options);
    auto [o, statistic] = graph_.sdpa(q, k, v, options);
    o->set_output(true).set_dim({layout_.b, layout_.h, layout_.s, layout_.d}).set_stride(layout_.out);
    statistic->set_output(true).set_data_type(fe::DataType_t::FLOAT).set_stride(layout_.statistic);
  }

  void add_backward() {
    const Tensor q = packed("q", layout_.h), k = packed("k", layout_.kv), v = packed("v", layout_.kv);
    const Tensor o = tensor("o", layout_.h, layout_.d, layout_.out),
                 d_o = tensor("do", layout_.h, layout_.d, layout_.out);
    const Tensor statistic = tensor("lse", layout_.h, 1, layout_.statistic);
    statistic->set_data_type(fe::DataType_t::FLOAT);
    auto options = fe::graph::SDPA_backward_attributes().set_name("attention_gradient");
    options.set_deterministic_algorithm(shape_.deterministic);
    set_masks(options);
    auto [dq, dk, dv] = graph_.sdpa_backward(q, k, v, o, d_o, statistic, options);
    for (const auto& [gradient, heads] :
         {std::pair(dq, layout_.h), std::pair(dk, layout_.kv), std::pair(dv, layout_.kv)})
      gradient->set_output(true).set_dim({layout_.b, heads, layout_.s, layout_.d}).set_stride(layout_.packed);
  }

  CudnnPlan plan(bool whole) {
    CudnnPlan plan;
    check(graph_.validate(), "the graph");
    check(graph_.build_operation_graph(), "the operation graph");
    check(graph_.create_execution_plans({fe::HeurMode_t::A}), "no engine");
    plan.engines = graph_.get_execution_plan_count();
    if (plan.engines == 0) throw Unsupported("cuDNN: no engine takes this attention");
    plan.workspace_bytes = graph_.workspace_bytes(properties_);
    if (!whole) return plan;
    fe::error_t built = graph_.build_plan_at_index(0);
    plan.built = built.is_good();
    plan.why_not_built = built.get_message();
    return plan;
  }

 private:
  Tensor tensor(const char* name, std::int64_t heads, std::int64_t width, const Sizes& strides) {
    return graph_.tensor(fe::graph::Tensor_attributes()
                             .set_name(name)
                             .set_dim({layout_.b, heads, layout_.s, width})
                             .set_stride(strides));
  }
  Tensor packed(const char* name, std::int64_t heads) { return tensor(name, heads, layout_.d, layout_.packed); }

  template <class Options>
  void set_masks(Options& options) {
    options.set_attn_scale(static_cast<float>(shape_.scale));
    if (shape_.causal)
      options.set_diagonal_alignment(fe::DiagonalAlignment_t::TOP_LEFT).set_diagonal_band_right_bound(0);
    if (!shape_.padding) return;
    const Tensor lengths = graph_.tensor(fe::graph::Tensor_attributes()
                                             .set_name("lengths")
                                             .set_dim({layout_.b, 1, 1, 1})
                                             .set_stride({1, 1, 1, 1})
                                             .set_data_type(fe::DataType_t::INT32));
    options.set_padding_mask(true).set_seq_len_q(lengths).set_seq_len_kv(lengths);
  }

  CudnnAttentionShape shape_;
  Layout layout_;
  std::shared_ptr<fe::DeviceProperties> properties_;
  FrontendGraph graph_;
};

}  // namespace

std::string why_no_cudnn() {
  if (fe::cudnn_dlhandle == nullptr) fe::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  return fe::cudnn_dlhandle == nullptr ? "libcudnn.so.9 cannot be loaded" : "";
}

CudnnPlan plan_cudnn_attention(const CudnnAttentionShape& shape, CudnnPass pass, const std::string& device_properties,
                               bool whole) {
  if (const std::string why = why_no_cudnn(); !why.empty()) throw Unsupported(why);
  if (size_bytes(shape.dtype) != 2) throw Unsupported("cuDNN: its fused attention takes bf16 and fp16");
  Graph graph(shape, device_properties);
  pass == CudnnPass::forward ? graph.add_forward() : graph.add_backward();
  return graph.plan(whole);
}

}  // namespace stepscope

#endif
