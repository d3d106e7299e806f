#include "tests/support/cudnn_stand_in/descriptors.h"

#include <set>
#include <string>

namespace stepscope::cudnn_stand_in {

namespace {

void allow_only(const Shadow& shadow, const std::set<cudnnBackendAttributeName_t>& names) {
  for (const auto& [name, attribute] : shadow.set)
    require(names.contains(name), "attribute " + std::to_string(name) + " is not emulated");
}

Index index_of(const std::vector<std::int64_t>& values) {
  require(values.size() == 4, "a tensor that has not four dimensions");
  return {values[0], values[1], values[2], values[3]};
}

Tensor tensor_of(const Shadow& s) {
  allow_only(s, {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_ATTR_TENSOR_DIMENSIONS,
                 CUDNN_ATTR_TENSOR_STRIDES, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_ATTR_TENSOR_IS_VIRTUAL,
                 CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_ATTR_TENSOR_REORDERING_MODE, CUDNN_ATTR_TENSOR_VECTOR_COUNT,
                 CUDNN_ATTR_TENSOR_VECTORIZED_DIMENSION});
  require(one_of<std::int64_t>(s, CUDNN_ATTR_TENSOR_VECTOR_COUNT).value_or(1) == 1, "a vectorised tensor");
  return {.uid = one_of<std::int64_t>(s, CUDNN_ATTR_TENSOR_UNIQUE_ID).value(),
          .alignment = one_of<std::int64_t>(s, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT).value(),
          .type = one_of<cudnnDataType_t>(s, CUDNN_ATTR_TENSOR_DATA_TYPE).value(),
          .dims = index_of(all_of<std::int64_t>(s, CUDNN_ATTR_TENSOR_DIMENSIONS)),
          .strides = index_of(all_of<std::int64_t>(s, CUDNN_ATTR_TENSOR_STRIDES)),
          .is_virtual = one_of<char>(s, CUDNN_ATTR_TENSOR_IS_VIRTUAL).value_or(0) != 0,
          .by_value = one_of<char>(s, CUDNN_ATTR_TENSOR_IS_BY_VALUE).value_or(0) != 0};
}

class Reader {  // of an operation's descriptor into a graph
 public:
  Reader(const Shadow& shadow, OperationGraph& graph) : shadow_(shadow), graph_(graph) {}

  Operation matmul() {
    allow_only(shadow_,
               {CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_ATTR_OPERATION_MATMUL_CDESC,
                CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC,
                CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC});
    const Shadow& how = other(CUDNN_ATTR_OPERATION_MATMUL_DESC);
    allow_only(how, {CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_ATTR_MATMUL_PADDING_VALUE});
    require(one_of<cudnnDataType_t>(how, CUDNN_ATTR_MATMUL_COMP_TYPE) == CUDNN_DATA_FLOAT, "sums are fp32");
    const auto padding = one_of<double>(how, CUDNN_ATTR_MATMUL_PADDING_VALUE);
    return {.kind = Operation::Kind::matmul,
            .x = tensor(CUDNN_ATTR_OPERATION_MATMUL_ADESC).value(),
            .y = tensor(CUDNN_ATTR_OPERATION_MATMUL_CDESC).value(),
            .b = tensor(CUDNN_ATTR_OPERATION_MATMUL_BDESC),
            .rows = tensor(CUDNN_ATTR_OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC),
            .columns = tensor(CUDNN_ATTR_OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC),
            .terms = tensor(CUDNN_ATTR_OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC),
            .padding = padding.value_or(0),
            .is_padded = padding.has_value()};
  }

  Operation pointwise() {
    allow_only(shadow_, {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                         CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
                         CUDNN_ATTR_OPERATION_POINTWISE_TDESC, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1,
                         CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2});
    for (const auto name : {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2})
      require(one_of<float>(shadow_, name).value_or(1) == 1, "a factor of a pointwise operation");
    const Shadow& how = other(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    return {.kind = Operation::Kind::pointwise,
            .x = tensor(CUDNN_ATTR_OPERATION_POINTWISE_XDESC).value(),
            .y = tensor(CUDNN_ATTR_OPERATION_POINTWISE_YDESC).value(),
            .b = tensor(CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
            .t = tensor(CUDNN_ATTR_OPERATION_POINTWISE_TDESC),
            .mode = one_of<cudnnPointwiseMode_t>(how, CUDNN_ATTR_POINTWISE_MODE).value(),
            .axis = one_of<std::int64_t>(how, CUDNN_ATTR_POINTWISE_AXIS).value_or(-1)};
  }

  Operation reduction() {
    allow_only(shadow_, {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_ATTR_OPERATION_REDUCTION_YDESC,
                         CUDNN_ATTR_OPERATION_REDUCTION_DESC});
    const Shadow& how = other(CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    return {.kind = Operation::Kind::reduction,
            .x = tensor(CUDNN_ATTR_OPERATION_REDUCTION_XDESC).value(),
            .y = tensor(CUDNN_ATTR_OPERATION_REDUCTION_YDESC).value(),
            .reduces = one_of<cudnnReduceTensorOp_t>(how, CUDNN_ATTR_REDUCTION_OPERATOR).value()};
  }

  Operation reshape() {
    allow_only(shadow_, {CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_ATTR_OPERATION_RESHAPE_YDESC});
    return {.kind = Operation::Kind::reshape,
            .x = tensor(CUDNN_ATTR_OPERATION_RESHAPE_XDESC).value(),
            .y = tensor(CUDNN_ATTR_OPERATION_RESHAPE_YDESC).value()};
  }

 private:
  const Shadow& other(cudnnBackendAttributeName_t name) { return *shadow_.set.at(name).shadows.at(0); }
  std::optional<std::int64_t> tensor(cudnnBackendAttributeName_t name) {
    if (!shadow_.set.contains(name)) return {};
    const Tensor tensor = tensor_of(other(name));
    graph_.tensors.try_emplace(tensor.uid, tensor);
    return tensor.uid;
  }

  const Shadow& shadow_;
  OperationGraph& graph_;
};

}  // namespace

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;  // enumerations, floats, int32
  }
}

std::shared_ptr<const OperationGraph> graph_of(const Shadow& shadow) {
  auto graph = std::make_shared<OperationGraph>();
  for (const auto& operation : shadow.set.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).shadows) {
    Reader reader(*operation, *graph);
    switch (operation->type) {
      case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: graph->operations.push_back(reader.matmul()); break;
      case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: graph->operations.push_back(reader.pointwise()); break;
      case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: graph->operations.push_back(reader.reduction()); break;
      case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR: graph->operations.push_back(reader.reshape()); break;
      default: throw std::runtime_error("cuDNN: operation " + std::to_string(operation->type) + " is not emulated");
    }
  }
  return graph;
}

Memory memory_of(const OperationGraph& graph, const Shadow& pack, bool (*in_device_memory)(const void*, std::size_t)) {
  const auto uids = all_of<std::int64_t>(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = all_of<void*>(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  require(uids.size() == pointers.size(), "as many addresses as tensors");
  Memory memory;
  for (std::size_t i = 0; i < uids.size(); ++i) {
    const auto found = graph.tensors.find(uids[i]);
    require(found != graph.tensors.end() && !found->second.is_virtual,
            "an address of a tensor that the graph does not have");
    const Tensor& t = found->second;
    const std::string name = "tensor " + std::to_string(t.uid);
    if (t.by_value) {
      require(t.type == CUDNN_DATA_FLOAT || t.type == CUDNN_DATA_INT32,
              name + ": a scalar of a type that is not emulated");
      memory.scalars[t.uid] = t.type == CUDNN_DATA_FLOAT ? double{*static_cast<const float*>(pointers[i])}
                                                         : *static_cast<const std::int32_t*>(pointers[i]);
      continue;
    }
    require(reinterpret_cast<std::uintptr_t>(pointers[i]) % static_cast<std::uintptr_t>(t.alignment) == 0,
            name + " is not aligned to " + std::to_string(t.alignment) + " bytes");
    require(in_device_memory(pointers[i], t.span() * bytes_of(t.type)),
            name + " is not inside one allocation of the device");
    memory.device[t.uid] = pointers[i];
  }
  for (const auto& [uid, t] : graph.tensors)
    require(t.is_virtual || memory.device.contains(uid) || memory.scalars.contains(uid),
            "tensor " + std::to_string(uid) + " has no address");
  return memory;
}

}  // namespace stepscope::cudnn_stand_in
