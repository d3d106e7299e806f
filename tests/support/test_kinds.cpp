#include "tests/support/test_kinds.h"

#include "model/base/half.h"
#include "model/cpu/binding.h"
#include "model/program/gradient.h"

namespace stepscope::testing {

extern const OperationKind given_gradient_kind;
extern const OperationKind project_gradient_kind;

namespace {

const Shape& shape_of(const Operation& op, std::size_t in) { return op.ins[in].view.shape; }

std::vector<Output> given_outputs(const Program&, const Operation& op) {
  return {{"x", {op.attributes.output, shape_of(op, 0)}, Role::activation}};
}

void given_gradient(Differentiation& d, const Operation& op) {
  d.emit(given_gradient_kind, {}, {d.adjoint(op.outs[0])}, {d.gradient_write(op.ins[0])});
}

std::vector<Output> no_outputs(const Program&, const Operation&) { return {}; }

std::vector<Output> project_outputs(const Program& program, const Operation& op) {
  const DType first = program.type(op.ins[0]).dtype;
  return {{"loss", {first == DType::fp64 ? DType::fp64 : DType::fp32, {1}}, Role::scalar}};
}

void project_gradient(Differentiation& d, const Operation& op) {
  const std::size_t outputs = op.ins.size() / 2;
  for (std::size_t i = 0; i < outputs; ++i) {
    d.contribute(op.ins[i], d.emit(project_gradient_kind, op.attributes, {op.ins[outputs + i]})[0]);
  }
}

// rows of a [G, ...] state -> a value, or a value -> rows of a state: a conversion of elements either way.
CpuRun bind_copy(const CpuBinding& binding, bool to_state) {
  const std::int64_t n = binding.in_view(0).shape.elements();
  const std::int64_t stride = to_state ? n : binding.in_view(0).micro_stride;
  const DType to = to_state ? binding.write_type(0).dtype : binding.out_type(0).dtype;
  return dispatch(binding.in_dtype(0), [&]<class From>() {
    return dispatch(to, [&]<class To>() -> CpuRun {
      const From* x = binding.in<const From>(0);
      To* y = to_state ? binding.write<To>(0) : binding.out<To>(0);
      return [=, control = binding.control] {
        const std::int64_t at = control->micro_step * stride;
        for (std::int64_t i = 0; i < n; ++i)
          y[to_state ? at + i : i] = store<To>(static_cast<Accumulator<To>>(load(x[to_state ? i : at + i])));
      };
    });
  });
}

CpuRun bind_project(const CpuBinding& binding) {
  const int outputs = static_cast<int>(binding.ins.size()) / 2;
  std::vector<std::function<double()>> sums;
  for (int i = 0; i < outputs; ++i)
    dispatch(binding.in_dtype(i), [&]<class T>() {
      const T* y = binding.in<const T>(i);
      const double* w = binding.in<const double>(outputs + i);
      const std::int64_t n = binding.in_view(i).shape.elements(), stride = binding.in_view(outputs + i).micro_stride;
      sums.emplace_back([=, control = binding.control] {
        double sum = 0;
        for (std::int64_t k = 0; k < n; ++k)
          sum += static_cast<double>(load(y[k])) * w[control->micro_step * stride + k];
        return sum;
      });
    });
  return [=, fp64 = binding.out_type(0).dtype == DType::fp64] {
    double sum = 0;
    for (const auto& one : sums) sum += one();
    if (fp64)
      *binding.out<double>(0) = sum;
    else
      *binding.out<float>(0) = static_cast<float>(sum);
  };
}

}  // namespace

extern const OperationKind given_kind;
extern const OperationKind project_kind;
const OperationKind given_kind{.name = "given", .outputs = given_outputs, .gradient = given_gradient};
const OperationKind given_gradient_kind{.name = "given_gradient", .outputs = no_outputs};
const OperationKind project_kind{.name = "project", .outputs = project_outputs, .gradient = project_gradient};
const OperationKind project_gradient_kind{.name = "project_gradient", .outputs = given_outputs};

std::span<const OperationRow> test_kinds() {
  static const OperationRow rows[] = {
      {&given_kind, {nullptr, [](const CpuBinding& binding) { return bind_copy(binding, false); }}},
      {&given_gradient_kind, {nullptr, [](const CpuBinding& binding) { return bind_copy(binding, true); }}},
      {&project_kind, {nullptr, bind_project}},
      {&project_gradient_kind, {nullptr, [](const CpuBinding& binding) { return bind_copy(binding, false); }}},
  };
  return rows;
}

const OperationRow& row_of_any(const OperationKind& kind) {
  for (const OperationRow& row : test_kinds())
    if (row.kind == &kind) return row;
  return row_of(kind);
}

ValueId given(Builder& b, const Operand& rows, DType output) {
  return b.emit(given_kind, {.output = output}, {rows})[0];
}

ValueId project(Builder& b, const std::vector<Operand>& outputs, const std::vector<Operand>& weights) {
  std::vector<Operand> ins = outputs;
  ins.insert(ins.end(), weights.begin(), weights.end());
  return b.emit(project_kind, {.output = b.compute()}, std::move(ins))[0];
}

}  // namespace stepscope::testing
