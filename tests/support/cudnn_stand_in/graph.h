// An operation graph as cuDNN's backend receives it, and what it says by plain loops in double.
//     const OperationGraph graph = ...;   run(graph, memory);
// Tensors are [B, heads, rows, columns] of any strides. Virtual ones hold doubles, rounded where their type is narrow, and know no strides
// but in a reshape: the frontend gives some of them strides by which elements lie over each other. What an operation does not say is no
// number: rows and columns past the lengths that a matmul is told. Operations that are not here are refused.
#pragma once

#include <cudnn.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace stepscope::cudnn_stand_in {

inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error("cuDNN: " + what);
}

using Index = std::array<std::int64_t, 4>;

struct Tensor {
  std::int64_t uid = 0, alignment = 1;
  cudnnDataType_t type = CUDNN_DATA_FLOAT;
  Index dims{1, 1, 1, 1}, strides{1, 1, 1, 1};  // in elements
  bool is_virtual = false, by_value = false;

  [[nodiscard]] std::int64_t offset(const Index& at) const;
  [[nodiscard]] std::size_t dense(const Index& at) const;  // where no strides were
  [[nodiscard]] std::size_t span() const;  // elements from the first to the last
};

std::size_t bytes_of(cudnnDataType_t type);

struct Operation {
  enum class Kind { matmul, pointwise, reduction, reshape } kind;
  std::int64_t x = 0, y = 0;  // tensors by uid; of a matmul x and b are multiplied
  std::optional<std::int64_t> b = {}, t = {};
  std::optional<std::int64_t> rows = {}, columns = {}, terms = {};  // of a matmul: its lengths, by batch row
  double padding = 0;  // of a matmul, past its lengths, where is_padded
  bool is_padded = false;
  cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  std::int64_t axis = -1;
  cudnnReduceTensorOp_t reduces = CUDNN_REDUCE_TENSOR_ADD;
};

struct OperationGraph {
  std::map<std::int64_t, Tensor> tensors;
  std::vector<Operation> operations;
};

struct Memory {  // of a call, by uid
  std::map<std::int64_t, void*> device;
  std::map<std::int64_t, double> scalars;
};

void run(const OperationGraph& graph, const Memory& memory);

}  // namespace stepscope::cudnn_stand_in
