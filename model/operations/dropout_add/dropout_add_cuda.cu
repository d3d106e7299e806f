#include "model/operations/dropout_add/dropout_add_cuda.cuh"

#include "model/cuda/pack.cuh"
#include "model/cuda/team.cuh"
#include "model/operations/dropout_add/dropout_add_body.h"

namespace stepscope {

struct DropoutSettings {
  std::uint32_t site, threshold;
  std::int64_t rows, features;  // of a micro-step
  float scale;  // of what is kept
};

__device__ inline DropoutStream dropout_stream(const DropoutSettings& settings, const ControlBlock& control) {
  return {control.seed, settings.site, static_cast<std::uint32_t>(control.step), settings.threshold};
}
__device__ inline std::uint32_t token_of_step(const DropoutSettings& settings, const ControlBlock& control) {
  return static_cast<std::uint32_t>(control.micro_step * settings.rows + blockIdx.x);
}

// A block a token. Moves 3 elements a feature.
template <class T, class R>
__global__ void dropout_add_kernel(DropoutSettings settings, const ControlBlock* control, const T* branch,
                                   const R* residual, R* y) {
  const std::int64_t at = blockIdx.x * settings.features;
  dropout_add_row(BlockTeam{}, dropout_stream(settings, *control), token_of_step(settings, *control), settings.scale,
                  branch + at, residual + at, y + at, settings.features);
}

template <class T, class R>
__global__ void dropout_add_packs_kernel(DropoutSettings settings, const ControlBlock* control, const T* branch,
                                         const R* residual, R* y) {
  const std::int64_t at = blockIdx.x * settings.features;
  const DropoutStream stream = dropout_stream(settings, *control);
  const std::uint32_t token = token_of_step(settings, *control);
  for (std::int64_t pack = threadIdx.x; pack * row_pack < settings.features; pack += blockDim.x) {
    const RowPack<T> in = load_row_pack(branch + at, pack);
    const RowPack<R> held = load_row_pack(residual + at, pack);
    RowPack<R> out;
    dropout_add_row(ThreadTeam{}, stream, token, settings.scale, in.at, held.at, out.at, row_pack, pack * row_pack);
    store_pack(y + at, pack, out);
  }
}

// Moves 2 elements a feature.
template <class R, class T>
__global__ void dropout_gradient_kernel(DropoutSettings settings, const ControlBlock* control, const R* dy,
                                        T* dbranch) {
  const std::int64_t at = blockIdx.x * settings.features;
  dropout_gradient_row(BlockTeam{}, dropout_stream(settings, *control), token_of_step(settings, *control),
                       settings.scale, dy + at, dbranch + at, settings.features);
}

template <class R, class T>
__global__ void dropout_gradient_packs_kernel(DropoutSettings settings, const ControlBlock* control, const R* dy,
                                              T* dbranch) {
  const std::int64_t at = blockIdx.x * settings.features;
  const DropoutStream stream = dropout_stream(settings, *control);
  const std::uint32_t token = token_of_step(settings, *control);
  for (std::int64_t pack = threadIdx.x; pack * row_pack < settings.features; pack += blockDim.x) {
    const RowPack<R> outer = load_row_pack(dy + at, pack);
    RowPack<T> out;
    dropout_gradient_row(ThreadTeam{}, stream, token, settings.scale, outer.at, out.at, row_pack, pack * row_pack);
    store_pack(dbranch + at, pack, out);
  }
}

static DropoutSettings dropout_settings(const CudaBinding& binding) {
  const Attributes& attributes = binding.operation->attributes;
  const Shape& shape = binding.in_view(0).shape;
  return {static_cast<std::uint32_t>(attributes.random_site), drop_threshold(attributes.rate), shape.rows(),
          shape.last(), static_cast<float>(1 / (1 - attributes.rate))};
}

CudaRun bind_dropout_add_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(1), binding.in_dtype(0), [&]<class R, class T>() -> CudaRun {
    const T* branch = binding.in<const T>(0);
    const R* residual = binding.in<const R>(1);
    R* y = binding.out<R>(0);
    const DropoutSettings settings = dropout_settings(binding);
    const auto kernel = rows_in_packs(settings.features, {branch, residual, y}) ? dropout_add_packs_kernel<T, R>
                                                                                : dropout_add_kernel<T, R>;
    return [=, control = binding.control](const CudaIssue& issue) {
      launch(kernel, static_cast<unsigned>(settings.rows), threads_for_row(settings.features), 0, issue.stream,
             settings, control, branch, residual, y);
    };
  });
}

CudaRun bind_dropout_gradient_cuda(const CudaBinding& binding) {
  return dispatch_cuda_residual(binding.in_dtype(0), binding.out_type(0).dtype, [&]<class R, class T>() -> CudaRun {
    const R* dy = binding.in<const R>(0);
    T* dbranch = binding.out<T>(0);
    const DropoutSettings settings = dropout_settings(binding);
    const auto kernel = rows_in_packs(settings.features, {dy, dbranch}) ? dropout_gradient_packs_kernel<R, T>
                                                                        : dropout_gradient_kernel<R, T>;
    return [=, control = binding.control](const CudaIssue& issue) {
      launch(kernel, static_cast<unsigned>(settings.rows), threads_for_row(settings.features), 0, issue.stream,
             settings, control, dy, dbranch);
    };
  });
}

}  // namespace stepscope
