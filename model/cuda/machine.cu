#include "model/cuda/machine.h"

#include <cublasLt.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "model/cuda/check.cuh"
#include "model/cuda/libraries.cuh"

namespace stepscope {

namespace {

constexpr std::int64_t context_step_bytes = std::int64_t{64} << 20;  // so that two processes plan alike

int number_of_cards() {
  setenv("CUDA_MODULE_LOADING", "EAGER", 0);  // no kernel's code is loaded, and takes memory, inside a step
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0)
    throw Unsupported("no NVIDIA driver is here: libcuda.so.1 was not found");
  if (error == cudaSuccess || error == cudaErrorNoDevice) throw Unsupported("an NVIDIA driver is here, but no card");
  throw Unsupported(std::string("no card: ") + cudaGetErrorString(error));
}

void require_card(int card) {
  const int count = number_of_cards();
  if (card < 0 || card >= count)
    throw Unsupported("cuda:" + std::to_string(card) +
                      ": no such card, the last one here is cuda:" + std::to_string(count - 1));
  if (const std::string why = why_libraries_are_missing(); !why.empty()) throw Unsupported(why);
}

// As nvidia-smi -L writes it.
std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text = "GPU";
  for (std::size_t i = 0; i < sizeof(uuid.bytes); ++i) {
    char byte[3];
    std::snprintf(byte, sizeof(byte), "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += byte;
  }
  return text;
}

}  // namespace

CardIdentity identity_of_card(int card) {
  require_card(card);
  cudaDeviceProp properties{};
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, card));
  return {uuid_text(properties.uuid), static_cast<std::int64_t>(cublasLtGetVersion())};
}

Machine this_card(int card) {
  require_card(card);
  cudaDeviceProp properties{};
  STEPSCOPE_CUDA(cudaGetDeviceProperties(&properties, card));
  STEPSCOPE_CUDA(cudaSetDevice(card));
  std::size_t free_bytes = 0, total_bytes = 0;
  STEPSCOPE_CUDA(cudaMemGetInfo(&free_bytes, &total_bytes));
  Machine machine;
  machine.kind = Machine::Kind::cuda;
  machine.has_kernels = true;
  machine.card = card;
  machine.name = properties.name;
  machine.native_bf16 = properties.major >= 8;
  machine.native_fp16 = properties.major >= 7;
  machine.tf32 = properties.major >= 8;
  machine.memory_bytes = static_cast<std::int64_t>(total_bytes);
  machine.context_bytes = round_up(static_cast<std::int64_t>(total_bytes - free_bytes), context_step_bytes);
  return machine;
}

}  // namespace stepscope
