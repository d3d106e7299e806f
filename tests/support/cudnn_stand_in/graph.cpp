#include "tests/support/cudnn_stand_in/graph.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/base/half.h"

namespace stepscope::cudnn_stand_in {

namespace {

constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

template <class Each>
void for_each(const Index& dims, Each&& each) {
  Index at{};
  for (at[0] = 0; at[0] < dims[0]; ++at[0])
    for (at[1] = 0; at[1] < dims[1]; ++at[1])
      for (at[2] = 0; at[2] < dims[2]; ++at[2])
        for (at[3] = 0; at[3] < dims[3]; ++at[3]) each(at);
}

double rounded(cudnnDataType_t type, double value) {
  switch (type) {
    case CUDNN_DATA_BFLOAT16: return load(to_bf16(static_cast<float>(value)));
    case CUDNN_DATA_HALF: return load(to_fp16(static_cast<float>(value)));
    default: return value;
  }
}

double load_from(cudnnDataType_t type, const void* at, std::int64_t i) {
  switch (type) {
    case CUDNN_DATA_BFLOAT16: return load(static_cast<const bf16*>(at)[i]);
    case CUDNN_DATA_HALF: return load(static_cast<const fp16*>(at)[i]);
    case CUDNN_DATA_FLOAT: return static_cast<const float*>(at)[i];
    case CUDNN_DATA_INT32: return static_cast<const std::int32_t*>(at)[i];
    default: throw std::runtime_error("cuDNN: an operand of type " + std::to_string(type) + " is not emulated");
  }
}
void store_to(cudnnDataType_t type, void* at, std::int64_t i, double value) {
  switch (type) {
    case CUDNN_DATA_BFLOAT16: static_cast<bf16*>(at)[i] = to_bf16(static_cast<float>(value)); break;
    case CUDNN_DATA_HALF: static_cast<fp16*>(at)[i] = to_fp16(static_cast<float>(value)); break;
    case CUDNN_DATA_FLOAT: static_cast<float*>(at)[i] = static_cast<float>(value); break;
    default: throw std::runtime_error("cuDNN: a result of type " + std::to_string(type) + " is not emulated");
  }
}

// Index of a smaller tensor that is read as a larger one: an extent of 1 for all, fewer heads for groups of them.
Index within(const Index& dims, const Index& at, const Index& larger) {
  Index mine{};
  for (std::size_t i = 0; i < 4; ++i) {
    require(dims[i] == larger[i] || dims[i] == 1 || (i == 1 && larger[i] % dims[i] == 0), "shapes do not fit");
    mine[i] = dims[i] == larger[i] ? at[i] : dims[i] == 1 ? 0 : at[i] / (larger[i] / dims[i]);
  }
  return mine;
}

class Source {  // of an operation's numbers
 public:
  Source(const Tensor& tensor, const std::vector<double>* held, const void* memory, double scalar)
      : tensor_(&tensor), held_(held), memory_(memory), scalar_(scalar) {}
  [[nodiscard]] const Tensor& tensor() const { return *tensor_; }
  [[nodiscard]] double at(const Index& at) const {
    if (held_ != nullptr) return (*held_)[tensor_->dense(at)];
    return memory_ != nullptr ? load_from(tensor_->type, memory_, tensor_->offset(at)) : scalar_;
  }
  [[nodiscard]] double at(const Index& at, const Index& as) const { return this->at(within(tensor_->dims, at, as)); }

 private:
  const Tensor* tensor_;
  const std::vector<double>* held_;
  const void* memory_;
  double scalar_;
};

class Target {
 public:
  Target(const Tensor& tensor, std::vector<double>* held, void* memory)
      : tensor_(&tensor), held_(held), memory_(memory) {}
  [[nodiscard]] const Tensor& tensor() const { return *tensor_; }
  void set(const Index& at, double value) const {
    if (held_ == nullptr) return store_to(tensor_->type, memory_, tensor_->offset(at), value);
    (*held_)[tensor_->dense(at)] = rounded(tensor_->type, value);
  }

 private:
  const Tensor* tensor_;
  std::vector<double>* held_;
  void* memory_;
};

class Run {
 public:
  Run(const OperationGraph& graph, const Memory& memory) : graph_(graph), memory_(memory) {}

  void run(const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::matmul: return matmul(op);
      case Operation::Kind::pointwise: return pointwise(op);
      case Operation::Kind::reduction: return reduction(op);
      case Operation::Kind::reshape: return reshape(op);
    }
  }

 private:
  [[nodiscard]] Source source(std::int64_t uid) const {
    const Tensor& t = graph_.tensors.at(uid);
    if (t.by_value) return {t, nullptr, nullptr, memory_.scalars.at(uid)};
    if (!t.is_virtual) return {t, nullptr, memory_.device.at(uid), 0};
    const auto found = held_.find(uid);
    require(found != held_.end(), "a tensor is read before it is made");
    return {t, &found->second, nullptr, 0};
  }
  [[nodiscard]] std::optional<Source> source(const std::optional<std::int64_t>& uid) const {
    return uid ? std::optional(source(*uid)) : std::nullopt;
  }
  [[nodiscard]] Target target(std::int64_t uid) {
    const Tensor& t = graph_.tensors.at(uid);
    if (!t.is_virtual) return {t, nullptr, memory_.device.at(uid)};
    std::vector<double>& held = held_[uid];
    held.assign(t.dense({t.dims[0], 0, 0, 0}), undefined);
    return {t, &held, nullptr};
  }

  // [.., m, k] by [.., k, n]; a length of the queries' or keys' rows in place of m, n or k where the operation is told one.
  void matmul(const Operation& op) {
    const Source a = source(op.x), b = source(op.b.value());
    const Target c = target(op.y);
    const std::optional<Source> told[] = {source(op.rows), source(op.columns), source(op.terms)};
    const Index &out = c.tensor().dims, &left = a.tensor().dims, &right = b.tensor().dims;
    require(left[2] == out[2] && left[3] == right[2] && right[3] == out[3], "shapes of a matmul do not fit");
    const auto length = [&](const std::optional<Source>& lengths, std::int64_t batch, std::int64_t all) {
      if (!lengths) return all;
      const auto tokens = static_cast<std::int64_t>(lengths->at({batch, 0, 0, 0}));
      require(tokens >= 1 && tokens <= all, "a row of " + std::to_string(tokens) + " tokens of " + std::to_string(all));
      return tokens;
    };
    for_each({out[0], out[1], out[2], 1}, [&](const Index& row) {
      const std::int64_t rows = length(told[0], row[0], out[2]), columns = length(told[1], row[0], out[3]),
                         terms = length(told[2], row[0], left[3]);
      Index from_a = within({left[0], left[1], 1, 1}, {row[0], row[1], 0, 0}, {out[0], out[1], 1, 1}),
            from_b = within({right[0], right[1], 1, 1}, {row[0], row[1], 0, 0}, {out[0], out[1], 1, 1});
      from_a[2] = row[2];
      for (Index at = row; at[3] < out[3]; ++at[3]) {
        if (at[2] >= rows || at[3] >= columns) {
          if (c.tensor().is_virtual && op.is_padded) c.set(at, op.padding);
          continue;  // what is said of nobody stays as it is
        }
        double sum = 0;
        from_b[3] = at[3];
        for (std::int64_t k = 0; k < terms; ++k) {
          from_a[3] = from_b[2] = k;
          sum += a.at(from_a) * b.at(from_b);
        }
        c.set(at, sum);
      }
    });
  }

  void pointwise(const Operation& op) {
    const Source x = source(op.x);
    const std::optional<Source> b = source(op.b), t = source(op.t);
    const Target y = target(op.y);
    const Index& dims = y.tensor().dims;
    for_each(dims, [&](const Index& at) {
      if (op.mode == CUDNN_POINTWISE_GEN_INDEX)
        return y.set(at, static_cast<double>(at[static_cast<std::size_t>(op.axis)]));
      y.set(at, value_of(op.mode, x.at(at, dims), b ? b->at(at, dims) : undefined, t ? t->at(at, dims) : undefined));
    });
  }

  static double value_of(cudnnPointwiseMode_t mode, double a, double b, double t) {
    switch (mode) {
      case CUDNN_POINTWISE_ADD: return a + b;
      case CUDNN_POINTWISE_SUB: return a - b;
      case CUDNN_POINTWISE_MUL: return a * b;
      case CUDNN_POINTWISE_DIV: return a / b;
      case CUDNN_POINTWISE_EXP: return std::exp(a);
      case CUDNN_POINTWISE_LOG: return std::log(a);
      case CUDNN_POINTWISE_CMP_GE: return a >= b ? 1 : 0;
      case CUDNN_POINTWISE_CMP_LT: return a < b ? 1 : 0;
      case CUDNN_POINTWISE_LOGICAL_AND: return a != 0 && b != 0 ? 1 : 0;
      case CUDNN_POINTWISE_BINARY_SELECT: return t != 0 ? a : b;
      default: throw std::runtime_error("cuDNN: pointwise mode " + std::to_string(mode) + " is not emulated");
    }
  }

  // Over what the result has less of.
  void reduction(const Operation& op) {
    const Source x = source(op.x);
    const Target y = target(op.y);
    const bool adds = op.reduces == CUDNN_REDUCE_TENSOR_ADD;
    require(adds || op.reduces == CUDNN_REDUCE_TENSOR_MAX,
            "reduction " + std::to_string(op.reduces) + " is not emulated");
    std::map<Index, double> results;
    for_each(x.tensor().dims, [&](const Index& at) {
      const double value = x.at(at);
      const auto [found, first] = results.try_emplace(within(y.tensor().dims, at, x.tensor().dims), value);
      if (!first) found->second = adds ? found->second + value : std::max(found->second, value);
    });
    for (const auto& [at, value] : results) y.set(at, value);
  }

  // The same elements in the same memory, by other strides.
  void reshape(const Operation& op) {
    const Source x = source(op.x);
    const Target y = target(op.y);
    std::map<std::int64_t, Index> from;
    for_each(x.tensor().dims, [&](const Index& at) {
      require(from.try_emplace(x.tensor().offset(at), at).second, "a reshape of elements that lie over each other");
    });
    for_each(y.tensor().dims, [&](const Index& at) {
      const auto found = from.find(y.tensor().offset(at));
      require(found != from.end(), "a reshape to elements that there are not");
      y.set(at, x.at(found->second));
    });
  }

  const OperationGraph& graph_;
  const Memory& memory_;
  std::map<std::int64_t, std::vector<double>> held_;  // of virtual tensors, by uid
};

}  // namespace

std::int64_t Tensor::offset(const Index& at) const {
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < 4; ++i) sum += at[i] * strides[i];
  return sum;
}

std::size_t Tensor::dense(const Index& at) const {
  return static_cast<std::size_t>(((at[0] * dims[1] + at[1]) * dims[2] + at[2]) * dims[3] + at[3]);
}

std::size_t Tensor::span() const {
  return static_cast<std::size_t>(offset({dims[0] - 1, dims[1] - 1, dims[2] - 1, dims[3] - 1}) + 1);
}

std::size_t bytes_of(cudnnDataType_t type) {
  switch (type) {
    case CUDNN_DATA_BFLOAT16:
    case CUDNN_DATA_HALF: return 2;
    case CUDNN_DATA_FLOAT:
    case CUDNN_DATA_INT32: return 4;
    case CUDNN_DATA_BOOLEAN: return 1;
    default: throw std::runtime_error("cuDNN: type " + std::to_string(type) + " is not emulated");
  }
}

void run(const OperationGraph& graph, const Memory& memory) {
  Run run(graph, memory);
  for (const Operation& op : graph.operations) run.run(op);
}

}  // namespace stepscope::cudnn_stand_in
