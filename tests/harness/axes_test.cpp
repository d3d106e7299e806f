// Laws of the table of fields: from it follow keys, --set, defaults, ids, axes and errors.
#include "harness/axes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "harness/matrix.h"
#include "harness/planned.h"
#include "model/base/error.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

TEST(Axes, names_are_unique_and_helped) {
  std::set<std::string> names;
  for (const Field& field : fields()) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_FALSE(field.help.empty()) << field.name;
    EXPECT_TRUE(field.get && field.set) << field.name;
  }
}

TEST(Axes, every_technique_is_a_field_that_is_off_unless_said) {
  const Configuration plain = matrix_of(overrides_of({}, "tiny", "")).cells.front().configuration;
  for (const Technique& technique : techniques())
    EXPECT_EQ(field_named(technique.name, "").get(plain), technique.off) << technique.name;
}

TEST(Axes, off_is_absent_to_the_id) {
  std::vector<std::string> sets;
  for (const Technique& technique : techniques())
    sets.push_back(std::string(technique.name) + "=" + to_string(technique.off));
  EXPECT_EQ(matrix_of(overrides_of(sets, "tiny", "")).cells.front().id,
            matrix_of(overrides_of({}, "tiny", "")).cells.front().id);
}

class AxesFile : public TemporaryFolder {};

TEST_F(AxesFile, a_cell_written_out_and_read_back_is_the_same_cell) {
  const MatrixCell cell =
      matrix_of(overrides_of({"checkpointing=[\"MLPBlock\", \"AttentionBlock\"]", "precision=bf16", "accumulation=4",
                              "layers=3", "mask=[\"causal\",\"padding\"]", "clip=1.5", "model.mlp_hidden=100"},
                             "tiny", ""))
          .cells.front();
  std::ofstream(folder / "cell.toml") << to_toml(cell.configuration);
  const Matrix back = read_matrix((folder / "cell.toml").string(), {});
  ASSERT_EQ(back.cells.size(), 1U);
  EXPECT_EQ(back.cells.front().id, cell.id);
  EXPECT_EQ(canonical_text(back.cells.front().configuration), canonical_text(cell.configuration));
  EXPECT_EQ(axes_of(back.cells.front().configuration), axes_of(cell.configuration));
}

TEST(Axes, ids_tell_cells_apart_and_are_file_names) {
  std::set<std::string> ids;
  for (const char* set :
       {"layers=3", "precision=bf16", "checkpointing=every-2", "seed=5", "dropout=0.2", "clip=1", "mask=[]"}) {
    const std::string id = matrix_of(overrides_of({set}, "tiny", "")).cells.front().id;
    EXPECT_TRUE(ids.insert(id).second) << set;
    EXPECT_EQ(id.find_first_of("/ \"[]"), std::string::npos) << id;
    EXPECT_LE(id.size(), 80U);
  }
}

TEST(Axes, derived_fields_follow_an_override) {
  const Configuration c =
      matrix_of(overrides_of({"hidden=96", "max_sequence=20"}, "tiny", "")).cells.front().configuration;
  EXPECT_EQ(c.model.mlp_hidden, 4 * 96);
  EXPECT_EQ(c.model.head_dim, 48);
  EXPECT_EQ(c.training.sequence, 20);
}

TEST(Axes, an_unknown_name_is_answered_with_the_nearest) {
  try {
    (void)field_named("learning_rte", "--set");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("learning_rate"));
  }
}

TEST(Axes, flags_are_true_or_false) {
  const Configuration c =
      matrix_of(overrides_of({"tied_head=true", "head_bias=false"}, "tiny", "")).cells[0].configuration;
  EXPECT_TRUE(c.model.tied_head);
  EXPECT_FALSE(c.model.head_bias);
  for (const char* set : {"tied_head=1", "tied_head=yes"}) {
    try {
      (void)matrix_of(overrides_of({set}, "tiny", ""));
      ADD_FAILURE() << set;
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr("true or false"));
    }
  }
}

TEST(Axes, only_an_optimizer_that_decays_takes_a_weight_decay) {
  const auto training = [](std::vector<std::string> sets, const char* preset) {
    return matrix_of(overrides_of(sets, preset, "")).cells[0].configuration.training;
  };
  EXPECT_EQ(training({}, "tiny").weight_decay, 0);
  EXPECT_EQ(training({}, "gpt2-tiny").weight_decay, 0.1);
  EXPECT_EQ(training({}, "gpt2-tiny").beta2, 0.95);
  EXPECT_EQ(training({"optimizer=adam"}, "gpt2-tiny").weight_decay, 0);
  EXPECT_EQ(training({"optimizer=adamw", "weight_decay=0.01"}, "tiny").weight_decay, 0.01);
  EXPECT_THROW((void)training({"weight_decay=0.01"}, "tiny"), UsageError);
}

TEST(Axes, a_row_is_as_long_as_the_preset_says_where_the_model_allows_it) {
  const auto sequence = [](std::vector<std::string> sets) {
    return matrix_of(overrides_of(sets, "llama-3.2-1b", "")).cells[0].configuration.training.sequence;
  };
  EXPECT_EQ(sequence({}), 1024);
  EXPECT_EQ(sequence({"sequence=4096"}), 4096);
  EXPECT_EQ(sequence({"max_sequence=100"}), 100);
  EXPECT_THROW((void)sequence({"max_sequence=100", "sequence=101"}), UsageError);
}

TEST(Axes, an_impossible_architecture_is_refused_at_the_field_that_says_so) {
  const auto message = [](std::vector<std::string> sets, const char* preset) -> std::string {
    try {
      (void)matrix_of(overrides_of(sets, preset, ""));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(message({"kv_heads=4"}, "llama-tiny"), "--set: model.kv_heads = 4: must divide model.heads = 6");
  EXPECT_EQ(message({"head_dim=7"}, "llama-tiny"),
            "--set: model.head_dim = 7: must be even, features are turned in pairs");
  EXPECT_EQ(message({"rope_scaling=llama3"}, "tiny"),
            "--set: model.rope_scaling = \"llama3\": needs positions = \"rotary\"");
  EXPECT_EQ(message({"rope_high_frequency=0.5"}, "llama-tiny"),
            "--set: model.rope_high_frequency = 0.5: must be above rope_low_frequency = 1, to 1e6");
  EXPECT_EQ(message({"norm=batch"}, "tiny"), "--set: model.norm = batch: must be one of layer, rms");
  EXPECT_EQ(message({"kv_heads=1", "qk_norm=true", "norm=rms"}, "tiny"), "accepted");
}

TEST(Axes, presets_are_of_the_size_they_say) {
  for (const auto& [preset, parameters] : std::map<std::string, std::int64_t>{{"seed", 155'877'376},
                                                                              {"seed-small", 3'323'648},
                                                                              {"gpt2-124m", 124'439'808},
                                                                              {"gpt2-355m", 354'823'168},
                                                                              {"gpt2-774m", 774'030'080},
                                                                              {"gpt2-1558m", 1'557'611'200},
                                                                              {"qwen2.5-0.5b", 494'032'768},
                                                                              {"qwen2.5-1.5b", 1'543'714'304},
                                                                              {"qwen3-0.6b", 596'049'920},
                                                                              {"llama-3.2-1b", 1'235'814'400},
                                                                              {"llama-3.1-8b", 8'030'261'248}})
    EXPECT_EQ(parameter_count(resolved(preset_named(preset).model)), parameters) << preset;
}

}  // namespace
}  // namespace stepscope
