#include "model/training/saved_state.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "model/base/error.h"
#include "model/base/file.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

class SavedStateTest : public TemporaryFolder {
 protected:
  void SetUp() override { path = folder / "state.safetensors"; }

  [[nodiscard]] static SavedState example() {
    return {{{"head.weight", DType::fp32, {2}, std::vector<std::byte>(8, std::byte{1})},
             {"moment.0.head.weight", DType::fp32, {2}, std::vector<std::byte>(8, std::byte{2})}},
            41,
            40,
            0xffffffffffffffffu,
            "model.layers = 2\ntraining.seed = 1\n",
            0x1p18,
            17};
  }
  [[nodiscard]] std::string refusal(const std::string& configuration) const {
    try {
      static_cast<void>(read_saved_state(path, configuration));
    } catch (const UsageError& error) {
      const std::string what = error.what();
      EXPECT_EQ(what.find(path.string() + ": "), 0u) << what;
      return what.substr(path.string().size() + 2);
    }
    return "nothing was refused";
  }

  std::filesystem::path path;
};

TEST_F(SavedStateTest, reads_what_it_wrote) {
  const SavedState state = example();
  write_saved_state(path, state);
  const SavedState read = read_saved_state(path, state.configuration);
  EXPECT_EQ(read.tensors, state.tensors);
  EXPECT_EQ(read.step, 41);
  EXPECT_EQ(read.updates, 40);
  EXPECT_EQ(read.seed, 0xffffffffffffffffu);
  EXPECT_EQ(read.configuration, state.configuration);
  EXPECT_EQ(read.loss_scale, 0x1p18);
  EXPECT_EQ(read.clean_steps, 17);
}

TEST_F(SavedStateTest, lets_differ_what_may) {
  SavedState state = example();
  state.configuration = "a = 1\nb = 2\n";
  write_saved_state(path, state);
  EXPECT_THROW((void)read_saved_state(path, "a = 1\nb = 3\n", {"a"}), UsageError);
  EXPECT_EQ(read_saved_state(path, "a = 1\nb = 3\n", {"b"}).configuration, state.configuration);
  EXPECT_EQ(read_saved_state(path, "a = 1\n", {"b"}).step, state.step);
}

TEST_F(SavedStateTest, refuses_another_configuration_by_its_key) {
  write_saved_state(path, example());
  EXPECT_EQ(refusal("model.layers = 4\ntraining.seed = 1\n"),
            "belongs to another configuration: model.layers is 2 there and 4 here");
  EXPECT_EQ(refusal("model.layers = 2\n"),
            "belongs to another configuration: training.seed is 1 there and not set here");
  EXPECT_EQ(refusal("model.layers = 2\ntraining.clip = 1\ntraining.seed = 1"),
            "belongs to another configuration: training.clip is not set there and 1 here");
  EXPECT_EQ(refusal("training.seed = 1\nmodel.layers = 2"), "nothing was refused");  // the order of lines says nothing
}

TEST_F(SavedStateTest, refuses_other_files) {
  write_safetensors(path, example().tensors);
  EXPECT_EQ(refusal(""), "is no saved state: it has no 'schema'");
  write_safetensors(path, {}, {{"schema", "stepscope.state/9"}});
  EXPECT_EQ(refusal(""), "has the schema 'stepscope.state/9', this program reads 'stepscope.state/1'");
  const Metadata good = {
      {"schema", "stepscope.state/1"}, {"configuration", ""}, {"step", "1"}, {"updates", "1"}, {"seed", "1"}};
  for (const std::string key : {"step", "updates", "seed"}) {
    for (const std::string text : {"", "x", "1x", "99999999999999999999"}) {
      Metadata broken = good;
      broken[key] = text;
      write_safetensors(path, {}, broken);
      EXPECT_EQ(refusal(""), key + " = '" + text + "' is not a count");
    }
  }
  for (const std::string scale : {"0", "nan", "-2", "inf"}) {
    Metadata broken = good;
    broken["loss_scale"] = scale, broken["clean_steps"] = "0";
    write_safetensors(path, {}, broken);
    EXPECT_EQ(refusal(""), "loss_scale = " + scale + ": must be from 1 to 2^64");
  }
  Metadata more_updates = good;
  more_updates["updates"] = "2";
  write_safetensors(path, {}, more_updates);
  EXPECT_EQ(refusal(""), "updates = 2: more than its 1 steps");
  write_safetensors(path, {}, good);  // written before there was a loss scale
  EXPECT_EQ(read_saved_state(path, "").loss_scale, 1);
}

TEST_F(SavedStateTest, a_failed_write_keeps_the_old_state) {
  write_saved_state(path, example());
  SavedState broken = example();
  broken.tensors[1].name = broken.tensors[0].name;
  EXPECT_THROW(write_saved_state(path, broken), ProgramError);
  EXPECT_EQ(read_saved_state(path, example().configuration).step, 41);
}

}  // namespace
}  // namespace stepscope
