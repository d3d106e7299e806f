#include "model/execution/read_floats.h"

#include "model/base/half.h"

namespace stepscope {

std::vector<float> read_floats(const Executor& executor, const Program& program, StateId state) {
  const TensorType& type = program.state(state).type;
  std::vector<float> elements(static_cast<std::size_t>(type.shape.elements()));
  if (type.dtype == DType::fp32) {
    executor.read(state, std::as_writable_bytes(std::span(elements)));
    return elements;
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(type.size_bytes()));
  executor.read(state, bytes);
  dispatch(type.dtype, [&]<class T>() {
    const T* held = reinterpret_cast<const T*>(bytes.data());
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<float>(load(held[i]));
  });
  return elements;
}

}  // namespace stepscope
