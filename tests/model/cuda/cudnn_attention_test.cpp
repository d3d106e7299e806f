// cuDNN's plans for the attention of every preset, made for an H100 that is not here: NVIDIA's own library says whether it has an engine.
// Nothing runs. Where there is no driver, building a plan ends where its kernel would be loaded; before that all is as on a card.
#include "model/cuda/cudnn_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "model/base/error.h"
#include "model/layers/model_settings.h"
#include "model/operations/attention/attention.h"
#include "model/operations/attention/attention_layout.h"
#include "model/operations/attention/attention_library.h"
#include "tests/support/driver_stub.h"
#include "tests/support/h100_properties.h"
#include "tests/support/step_run.h"

namespace stepscope::testing {

namespace {

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
         std::to_string(s.head_dim) + ", " + std::to_string(s.sequence) + " rows" + (s.lengths ? ", lengths told" : "");
}

}  // namespace

TEST_F(CudnnAttention, has_an_engine_for_every_preset_forward_and_backward) {
  for (CudnnAttentionShape shape : shapes_of_presets())
    for (const bool lengths : {false, true})
      for (const CudnnPass pass : {CudnnPass::forward, CudnnPass::backward}) {
        shape.lengths = lengths;
        SCOPED_TRACE(in_words(shape) + (pass == CudnnPass::forward ? ", forward" : ", backward"));
        if (shape.head_dim % 8 != 0) {  // as cuDNN's documentation asks for
          EXPECT_THROW((void)plan_cudnn_attention(shape, pass, h100_properties), Unsupported);
          continue;
        }
        const CudnnPlan plan = plan_cudnn_attention(shape, pass, h100_properties);
        EXPECT_GT(plan.engines, 0);
        EXPECT_GE(plan.workspace_bytes, 0);
      }
}

// Of a card that is not here the workspace is exact: a cap that the first engine is within, by no more than what others may want.
namespace {
void expect_within_plan(const Preset& preset, const std::string& properties) {
  SCOPED_TRACE(std::string(preset.name));
  Machine card;
  card.kind = Machine::Kind::cuda;
  card.native_bf16 = true;
  const ModelSettings model = resolved(preset.model);
  StepSetting s{.preset = std::string(preset.name), .precision = "bf16", .global_batch = 4};
  s.sequence = preset.sequence == 0 ? model.max_sequence : preset.sequence;
  s.change_model = [](ModelSettings& m) { m.layers = 1; };
  s.library_attention = true;
  if (model.head_dim % 8 != 0) {
    EXPECT_THROW((void)build(s, card), Unsupported);
    return;
  }
  const Step step = build(s, card);
  int operations = 0;
  for (const Operation& op : step.program.operations) {
    if (!by_library(op)) continue;
    ++operations;
    const bool forward = op.kind == &attention_kind;
    const HeadLayout l = head_layout(op, forward ? 0 : 1);
    const CudnnPlan plan = plan_cudnn_attention({.batch = l.batch,
                                                 .sequence = l.sequence,
                                                 .kv_heads = l.kv_heads,
                                                 .queries = l.queries,
                                                 .head_dim = l.head_dim,
                                                 .causal = l.causal,
                                                 .lengths = tells_lengths(op),
                                                 .scale = op.attributes.scale},
                                                forward ? CudnnPass::forward : CudnnPass::backward, properties);
    const std::int64_t left = op.workspace_bytes - lengths_bytes(op) - plan.workspace_bytes;
    EXPECT_GE(left, 0);
    EXPECT_LE(left, 65 << 10);
  }
  EXPECT_EQ(operations, 2);
}
}  // namespace

TEST_F(CudnnAttention, of_every_preset_is_within_its_planned_workspace) {
  for (const Preset& preset : presets()) expect_within_plan(preset, h100_properties);
}

TEST_F(CudnnAttention, of_other_cards_is_within_it_too) {
  for (const char* version : {"800", "860", "890", "1200"})
    for (const char* preset : {"gpt2-124m", "llama-3.2-1b"}) {
      SCOPED_TRACE(version);
      const std::string key = "\"deviceVer\": ";
      std::string properties = h100_properties;
      properties.replace(properties.find(key) + key.size(), 3, version);
      expect_within_plan(preset_named(preset), properties);
    }
}

TEST_F(CudnnAttention, is_built_as_far_as_loading_its_kernel) {
  for (const CudnnPass pass : {CudnnPass::forward, CudnnPass::backward}) {
    const CudnnPlan plan = plan_cudnn_attention(
        {.batch = 4, .sequence = 1024, .kv_heads = 2, .queries = 7, .head_dim = 64, .lengths = true, .scale = 0.125},
        pass, h100_properties, true);
    EXPECT_TRUE(plan.built || plan.why_not_built.find("cuLibraryLoadData") != std::string::npos) << plan.why_not_built;
  }
}

TEST_F(CudnnAttention, a_deterministic_gradient_wants_more_workspace) {
  CudnnAttentionShape shape{
      .batch = 4, .sequence = 1024, .kv_heads = 12, .head_dim = 64, .scale = 0.125, .deterministic = false};
  const std::int64_t plain = plan_cudnn_attention(shape, CudnnPass::backward, h100_properties).workspace_bytes;
  shape.deterministic = true;
  EXPECT_GT(plan_cudnn_attention(shape, CudnnPass::backward, h100_properties).workspace_bytes, plain);
}

TEST_F(CudnnAttention, what_it_does_not_take_is_unsupported) {
  EXPECT_THROW((void)plan_cudnn_attention({.batch = 1, .sequence = 64, .kv_heads = 2, .head_dim = 20, .scale = 1},
                                          CudnnPass::forward, h100_properties),
               Unsupported);
  EXPECT_THROW((void)plan_cudnn_attention(
                   {.batch = 1, .sequence = 64, .kv_heads = 2, .head_dim = 64, .dtype = DType::fp32, .scale = 1},
                   CudnnPass::forward, h100_properties),
               Unsupported);
}

}  // namespace stepscope::testing
