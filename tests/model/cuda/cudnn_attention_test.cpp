// cuDNN's plans for the attention of every preset, made for an H100 that is not here: NVIDIA's own library says whether it has an engine.
// Nothing runs. Where there is no driver, building a plan ends where its kernel would be loaded; before that all is as on a card.
#include "model/cuda/cudnn_attention.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <tuple>

#include "model/base/error.h"
#include "model/layers/model_settings.h"

namespace stepscope::testing {

namespace {

// As cuDNN writes it. NVIDIA's figures of an H100 SXM5 80 GB; CUDA C++ Programming Guide, compute capability 9.0.
constexpr const char* h100 =
    R"({"maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536,
 "multiProcessorCount": 132, "warpSize": 32, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
 "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
 "maxThreadsPerSM": 2048, "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85017755648,
 "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "l2CacheSize": 52428800, "cudaDeviceId": 0, "deviceVer": 900,
 "driverVer": 13000, "deviceName": "NVIDIA H100 80GB HBM3"})";

// cuDNN offers no engine where libcuda.so.1 is not to be had; a toolkit's stub has that name and no driver behind it.
bool has_driver_or_stub() {
  const char* const home = std::getenv("CUDA_HOME");
  for (const std::string& file :
       {std::string("libcuda.so.1"), std::string(home == nullptr ? "" : home) + "/lib64/stubs/libcuda.so",
        std::string("/usr/local/cuda/lib64/stubs/libcuda.so")})
    if (dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr) return true;
  return false;
}

class CudnnAttention : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_no_cudnn(); !why.empty()) GTEST_SKIP() << why;
    if (!has_driver_or_stub()) GTEST_SKIP() << "neither a driver nor a toolkit's stub of one";
  }
};

std::vector<CudnnAttentionShape> shapes_of_presets() {
  std::set<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>> met;
  std::vector<CudnnAttentionShape> shapes;
  for (const Preset& preset : presets()) {
    const ModelSettings model = resolved(preset.model);
    const std::int64_t queries = model.heads / model.kv_heads;
    const std::int64_t sequence = preset.sequence == 0 ? model.max_sequence : preset.sequence;
    if (!met.insert({model.kv_heads, queries, model.head_dim, sequence}).second) continue;
    shapes.push_back({.batch = 4,
                      .sequence = sequence,
                      .kv_heads = model.kv_heads,
                      .queries = queries,
                      .head_dim = model.head_dim,
                      .scale = 1 / std::sqrt(static_cast<double>(model.head_dim))});
  }
  return shapes;
}

std::string in_words(const CudnnAttentionShape& s) {
  return std::to_string(s.kv_heads) + " kv heads of " + std::to_string(s.queries) + ", width " +
         std::to_string(s.head_dim) + ", " + std::to_string(s.sequence) + " rows" + (s.padding ? ", padding" : "");
}

}  // namespace

TEST_F(CudnnAttention, has_an_engine_for_every_preset_forward_and_backward) {
  for (CudnnAttentionShape shape : shapes_of_presets())
    for (const bool padding : {false, true})
      for (const CudnnPass pass : {CudnnPass::forward, CudnnPass::backward}) {
        shape.padding = padding;
        SCOPED_TRACE(in_words(shape) + (pass == CudnnPass::forward ? ", forward" : ", backward"));
        if (shape.head_dim % 8 != 0) {  // as cuDNN's documentation asks for
          EXPECT_THROW((void)plan_cudnn_attention(shape, pass, h100), Unsupported);
          continue;
        }
        const CudnnPlan plan = plan_cudnn_attention(shape, pass, h100);
        EXPECT_GT(plan.engines, 0);
        EXPECT_GE(plan.workspace_bytes, 0);
      }
}

TEST_F(CudnnAttention, is_built_as_far_as_loading_its_kernel) {
  for (const CudnnPass pass : {CudnnPass::forward, CudnnPass::backward}) {
    const CudnnPlan plan = plan_cudnn_attention(
        {.batch = 4, .sequence = 1024, .kv_heads = 2, .queries = 7, .head_dim = 64, .padding = true, .scale = 0.125},
        pass, h100, true);
    EXPECT_TRUE(plan.built || plan.why_not_built.find("cuLibraryLoadData") != std::string::npos) << plan.why_not_built;
  }
}

TEST_F(CudnnAttention, a_deterministic_gradient_wants_more_workspace) {
  CudnnAttentionShape shape{.batch = 4, .sequence = 1024, .kv_heads = 12, .head_dim = 64, .scale = 0.125};
  const std::int64_t plain = plan_cudnn_attention(shape, CudnnPass::backward, h100).workspace_bytes;
  shape.deterministic = true;
  EXPECT_GT(plan_cudnn_attention(shape, CudnnPass::backward, h100).workspace_bytes, plain);
}

TEST_F(CudnnAttention, what_it_does_not_take_is_unsupported) {
  EXPECT_THROW((void)plan_cudnn_attention({.batch = 1, .sequence = 64, .kv_heads = 2, .head_dim = 20, .scale = 1},
                                          CudnnPass::forward, h100),
               Unsupported);
  EXPECT_THROW((void)plan_cudnn_attention(
                   {.batch = 1, .sequence = 64, .kv_heads = 2, .head_dim = 64, .dtype = DType::fp32, .scale = 1},
                   CudnnPass::forward, h100),
               Unsupported);
}

}  // namespace stepscope::testing
