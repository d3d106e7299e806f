// Every preset is one of the families that the laws run over: of the same parts, however wide.
#include "tests/support/families.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>

namespace stepscope::testing {
namespace {

auto parts_of(ModelSettings m) {
  m = resolved(m);
  return std::tuple(m.block_order, m.tied_head, m.head_bias, m.norm, m.activation, m.positions, m.rope_scaling,
                    m.qkv_bias, m.out_bias, m.mlp_bias, m.qk_norm, m.kv_heads == m.heads,
                    m.head_dim * m.heads == m.hidden);
}

ModelSettings scaled_down(const Family& family) {
  ModelSettings model = preset_named(family.preset).model;
  small_step(family, "fp32").change_model(model);
  return model;
}

TEST(Families, every_preset_belongs_to_one) {
  for (const Preset& preset : presets()) {
    bool belongs = false;
    for (const Family& family : families())
      belongs = belongs || parts_of(scaled_down(family)) == parts_of(preset.model);
    EXPECT_TRUE(belongs) << preset.name;
  }
}

TEST(Families, are_small_and_each_is_another) {
  for (const Family& family : families()) {
    EXPECT_LT(parameter_count(resolved(scaled_down(family))), 15'000) << family.name;
    for (const Family& other : families())
      EXPECT_EQ(parts_of(scaled_down(family)) == parts_of(scaled_down(other)), &family == &other)
          << family.name << " " << other.name;
  }
}

}  // namespace
}  // namespace stepscope::testing
