// What was set of a descriptor of the real library, which tells most of it to nobody, and the graph that it says.
//     Shadow shadow(type);   shadow.set[name] = {count, bytes, others};   graph_of(shadow)       // of an operation graph
#pragma once

#include <cudnn.h>

#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "tests/support/cudnn_stand_in/graph.h"

namespace stepscope::cudnn_stand_in {

using Descriptor = cudnnBackendDescriptor_t;

struct Shadow;

struct Attribute {
  std::int64_t count = 0;
  std::vector<std::byte> bytes;
  std::vector<std::shared_ptr<const Shadow>> shadows;  // of descriptors, which may be destroyed once they are set
};

struct Shadow {  // of a descriptor of the real library
  explicit Shadow(cudnnBackendDescriptorType_t kind) : type(kind) {}
  cudnnBackendDescriptorType_t type;
  std::map<cudnnBackendAttributeName_t, Attribute> set;
  bool for_handle = false;  // it, or the graph that it is of, is made for a card that is here
  std::shared_ptr<const OperationGraph> graph;  // of graphs, and of heuristics, configurations and plans of one
};

template <class T>
std::vector<T> all_of(const Shadow& shadow, cudnnBackendAttributeName_t name) {
  const auto found = shadow.set.find(name);
  if (found == shadow.set.end()) return {};
  std::vector<T> values(static_cast<std::size_t>(found->second.count));
  require(found->second.bytes.size() == values.size() * sizeof(T), "an attribute of another size");
  std::memcpy(values.data(), found->second.bytes.data(), found->second.bytes.size());
  return values;
}
template <class T>
std::optional<T> one_of(const Shadow& shadow, cudnnBackendAttributeName_t name) {
  const std::vector<T> values = all_of<T>(shadow, name);
  require(values.size() <= 1, "an attribute of several values");
  return values.empty() ? std::nullopt : std::optional<T>(values[0]);
}

[[nodiscard]] std::size_t size_of(cudnnBackendAttributeType_t type);
[[nodiscard]] std::shared_ptr<const OperationGraph> graph_of(const Shadow& operation_graph);
// Each address of a variant pack beside its tensor: all of the graph's, none else, aligned as it says. in_device_memory asks the device.
[[nodiscard]] Memory memory_of(const OperationGraph& graph, const Shadow& pack,
                               bool (*in_device_memory)(const void* at, std::size_t bytes));

}  // namespace stepscope::cudnn_stand_in
