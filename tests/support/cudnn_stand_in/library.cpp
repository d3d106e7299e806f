// cuDNN's backend, loaded in the real library's place. Descriptors, heuristics and engine configurations are the real library's, asked
// about an H100 that is not there; of graphs that are made for a handle it also keeps what was set, and executes them by plain loops
// (graph.h) in a stream of host SIMT. What it is strict about:
//     graphs      only operations, attributes and tensors that are emulated; a plan only of a configuration that the real heuristic gave
//     operands    every tensor of the graph and no other, aligned as the graph says, inside one allocation of the device
//     workspace   of the size that the real library asks for; anything may lie there, and nothing is left there
// What it cannot tell: whether the real library's kernels do what the graph says, and how they round inside.
#include <cudnn.h>
#include <dlfcn.h>

#include <cstring>
#include <map>
#include <memory>

#include "tests/support/cudnn_stand_in/connection.h"
#include "tests/support/cudnn_stand_in/descriptors.h"
#include "tests/support/h100_properties.h"

namespace stepscope::cudnn_stand_in {

namespace {

struct Handle {
  cudaStream_t stream = nullptr;
};

std::map<Descriptor, std::shared_ptr<Shadow>>& shadows() {
  static std::map<Descriptor, std::shared_ptr<Shadow>> all;
  return all;
}
Shadow& shadow_of(Descriptor descriptor) { return *shadows().at(descriptor); }
const Connection*& connection() {
  static const Connection* one = nullptr;
  return one;
}

void* real_library() {
  static void* const handle = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
  return handle;
}
template <class Function>
Function* real(const char* name) {
  auto* const function = reinterpret_cast<Function*>(dlsym(real_library(), name));
  require(function != nullptr, std::string("the real library has no ") + name);
  return function;
}
#define STEPSCOPE_REAL(name) real<decltype(name)>(#name)

// Of the host: the real library's descriptor of the card that host SIMT is.
Descriptor h100() {
  static const Descriptor made = [] {
    Descriptor descriptor = nullptr;
    require(STEPSCOPE_REAL(cudnnBackendCreateDescriptor)(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &descriptor) ==
                    CUDNN_STATUS_SUCCESS &&
                STEPSCOPE_REAL(cudnnBackendSetAttribute)(
                    descriptor, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                    static_cast<std::int64_t>(std::strlen(testing::h100_properties) + 1),
                    testing::h100_properties) == CUDNN_STATUS_SUCCESS &&
                STEPSCOPE_REAL(cudnnBackendFinalize)(descriptor) == CUDNN_STATUS_SUCCESS,
            "the properties of an H100");
    return descriptor;
  }();
  return made;
}

std::int64_t workspace_of(const Shadow& plan) {
  std::int64_t bytes = 0, count = 0;
  require(STEPSCOPE_REAL(cudnnBackendGetAttribute)(
              one_of<Descriptor>(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG).value(),
              CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes) == CUDNN_STATUS_SUCCESS,
          "the workspace of a configuration");
  return bytes;
}

cudnnStatus_t execute(const Handle& handle, const Shadow& plan, const Shadow& pack) {
  require(plan.for_handle && plan.graph != nullptr, "a plan that is not of a card that is here");
  const auto bytes = static_cast<std::size_t>(workspace_of(plan));
  void* const workspace = one_of<void*>(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE).value_or(nullptr);
  require(bytes == 0 || (connection()->in_device_memory(workspace, bytes) &&
                         reinterpret_cast<std::uintptr_t>(workspace) % 16 == 0),
          "a workspace smaller than the plan's, not aligned, or not of the device");
  const auto work = [graph = plan.graph, memory = memory_of(*plan.graph, pack, connection()->in_device_memory),
                     workspace, bytes] {
    std::memset(workspace, 0xFF, bytes);  // an engine may leave anything there
    run(*graph, memory);
    std::memset(workspace, 0xFF, bytes);
  };
  return connection()->enqueue(handle.stream, work) == cudaSuccess ? CUDNN_STATUS_SUCCESS
                                                                   : CUDNN_STATUS_EXECUTION_FAILED;
}

}  // namespace

}  // namespace stepscope::cudnn_stand_in

using namespace stepscope::cudnn_stand_in;

extern "C" {

const char* stepscope_connect_cudnn_stand_in(const Connection* to) {
  connection() = to;
  return real_library() == nullptr ? "libcudnn.so.9 cannot be loaded" : "";
}

std::size_t cudnnGetVersion() { return STEPSCOPE_REAL(cudnnGetVersion)(); }
const char* cudnnGetErrorString(cudnnStatus_t status) { return STEPSCOPE_REAL(cudnnGetErrorString)(status); }
void cudnnGetLastErrorString(char* message, std::size_t size) {
  STEPSCOPE_REAL(cudnnGetLastErrorString)(message, size);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  *handle = reinterpret_cast<cudnnHandle_t>(new Handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete reinterpret_cast<Handle*>(handle);
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  reinterpret_cast<Handle*>(handle)->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
  *stream = reinterpret_cast<Handle*>(handle)->stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* descriptor) {
  const cudnnStatus_t status = STEPSCOPE_REAL(cudnnBackendCreateDescriptor)(type, descriptor);
  if (status == CUDNN_STATUS_SUCCESS) shadows()[*descriptor] = std::make_shared<Shadow>(type);
  return status;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  shadows().erase(descriptor);
  return STEPSCOPE_REAL(cudnnBackendDestroyDescriptor)(descriptor);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  Shadow& shadow = shadow_of(descriptor);
  const auto* const bytes = static_cast<const std::byte*>(values);
  Attribute& attribute =
      shadow.set[name] = {count, {bytes, bytes + static_cast<std::size_t>(count) * size_of(type)}, {}};
  if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    for (std::int64_t i = 0; i < count; ++i)
      attribute.shadows.push_back(shadows().at(static_cast<const Descriptor*>(values)[i]));
  if (name == CUDNN_ATTR_OPERATIONGRAPH_HANDLE) {  // is none of the real library's
    shadow.for_handle = true;
    return CUDNN_STATUS_SUCCESS;
  }
  const bool of_graph =
      name == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH || name == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG;
  if (of_graph) {
    shadow.graph = attribute.shadows.at(0)->graph;
    shadow.for_handle = attribute.shadows.at(0)->for_handle;
  }
  return STEPSCOPE_REAL(cudnnBackendSetAttribute)(descriptor, name, type, count, values);
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, std::int64_t asked, std::int64_t* count,
                                       void* values) {
  const Shadow& shadow = shadow_of(descriptor);
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && shadow.for_handle) {
    *static_cast<std::int64_t*>(values) = workspace_of(shadow);
    return CUDNN_STATUS_SUCCESS;
  }
  const cudnnStatus_t status = STEPSCOPE_REAL(cudnnBackendGetAttribute)(descriptor, name, type, asked, count, values);
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && values != nullptr && status == CUDNN_STATUS_SUCCESS)
    for (std::int64_t i = 0; i < *count; ++i) {
      Shadow& configuration = shadow_of(static_cast<Descriptor*>(values)[i]);
      configuration.graph = shadow.graph;
      configuration.for_handle = shadow.for_handle;
    }
  return status;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  Shadow& shadow = shadow_of(descriptor);
  if (shadow.for_handle && shadow.type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) shadow.graph = graph_of(shadow);
  if (shadow.for_handle && shadow.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    const Descriptor card = h100();
    const cudnnStatus_t status = STEPSCOPE_REAL(cudnnBackendSetAttribute)(descriptor, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                                                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &card);
    if (status != CUDNN_STATUS_SUCCESS) return status;
  }
  // Its kernel cannot be loaded where there is no driver; offline plans go as far as that.
  if (shadow.for_handle && shadow.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) return CUDNN_STATUS_SUCCESS;
  return STEPSCOPE_REAL(cudnnBackendFinalize)(descriptor);
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack) {
  return execute(*reinterpret_cast<const Handle*>(handle), shadow_of(plan), shadow_of(pack));
}
}
