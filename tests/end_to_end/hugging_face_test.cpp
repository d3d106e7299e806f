// `--hf` and `--export hf:` as a person would use them: a folder computes what the same weights in our names do, bit for bit, in every
// architecture; exported and read back it still does. That transformers computes the same is shown by scripts/golden/parity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "harness/matrix.h"
#include "model/training/hf_export.h"
#include "tests/support/hf_folder.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::HfFolder;
using testing::random_hf_folder;
using testing::run_program;

class HuggingFace : public TemporaryFolder {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (folder / name).string(); }

  // The tensors that a step saves, as bytes by name; exit status 0 is expected.
  std::map<std::string, std::vector<std::byte>> step(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "step");
    arguments.insert(arguments.end(),
                     {"--save", path("saved.safetensors"), "--set", "global_batch=2", "--set", "seed=3"});
    const testing::ProgramRun run = run_program(arguments);
    EXPECT_EQ(run.status, 0) << run.error;
    std::map<std::string, std::vector<std::byte>> tensors;
    if (run.status == 0)
      for (NamedTensor& tensor : read_safetensors(path("saved.safetensors")).tensors)
        tensors[tensor.name] = std::move(tensor.bytes);
    return tensors;
  }

  std::string refused(const std::vector<std::string>& arguments) {
    const testing::ProgramRun run = run_program(arguments);
    EXPECT_EQ(run.status, 2) << run.error;
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
    return run.error;
  }
};

class EveryArchitecture : public HuggingFace, public ::testing::WithParamInterface<std::tuple<const char*, bool>> {};

TEST_P(EveryArchitecture, computes_what_the_same_weights_do_in_our_names) {
  const auto& [architecture, tied] = GetParam();
  const HfFolder made = random_hf_folder(architecture, 21, tied);
  made.write(path("theirs"));
  write_safetensors(path("ours.safetensors"), made.ours);
  const auto expected = step({"--hf", path("theirs"), "--weights", path("ours.safetensors")});
  const auto got = step({"--hf", path("theirs")});
  EXPECT_EQ(got, expected);
  EXPECT_NE(step({"--preset", "gpt2-tiny"}), got);
}

TEST_P(EveryArchitecture, exported_and_read_back_is_the_same_model) {
  const auto& [architecture, tied] = GetParam();
  random_hf_folder(architecture, 22, tied).write(path("theirs"));
  const auto first = step({"--hf", path("theirs"), "--steps", "2", "--export", "hf:" + path("mine")});
  const auto second = step({"--hf", path("mine")});
  // What was updated is what was written: with its weights given by name the folder's model computes the same.
  std::vector<NamedTensor> updated;
  for (NamedTensor& tensor : read_safetensors(path("saved.safetensors")).tensors)
    if (tensor.name.starts_with("updated.")) {
      tensor.name = tensor.name.substr(8);
      tensor.bytes = first.at("updated." + tensor.name);
      updated.push_back(std::move(tensor));
    }
  write_safetensors(path("updated.safetensors"), updated);
  EXPECT_EQ(second, step({"--hf", path("theirs"), "--weights", path("updated.safetensors")}));
  const std::string config = (std::stringstream() << std::ifstream(path("mine/config.json")).rdbuf()).str();
  EXPECT_THAT(config, HasSubstr(architecture));
}

INSTANTIATE_TEST_SUITE_P(HuggingFace, EveryArchitecture,
                         ::testing::Combine(::testing::ValuesIn(testing::hf_architectures), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) + (std::get<1>(info.param) ? "_tied" : "");
                         });

TEST_F(HuggingFace, a_plan_needs_only_the_config) {
  random_hf_folder("GPT2LMHeadModel", 23).write(path("theirs"));
  fs::remove(path("theirs/model.safetensors"));
  EXPECT_EQ(run_program({"plan", "--hf", path("theirs")}).status, 0);
  EXPECT_THAT(refused({"step", "--hf", path("theirs")}), HasSubstr("has no model.safetensors"));
  EXPECT_THAT(refused({"plan", "--hf", path("absent")}), HasSubstr("absent/config.json: there is no such file"));
}

TEST_F(HuggingFace, one_model_comes_from_one_place) {
  random_hf_folder("GPT2LMHeadModel", 24).write(path("theirs"));
  EXPECT_THAT(refused({"plan", "--hf", path("theirs"), "--preset", "tiny"}),
              AllOf(HasSubstr("--hf: model.hf = "), HasSubstr("not beside preset = tiny")));
  std::ofstream(path("both.toml")) << "[model]\npreset = \"tiny\"\nhf = \"" << path("theirs") << "\"\n";
  EXPECT_THAT(refused({"plan", path("both.toml")}), HasSubstr("both.toml:3: model.hf"));
  std::ofstream(path("m.toml")) << "[model]\npreset = \"tiny\"\n[matrix]\nprecision = [\"fp32\", \"bf16\"]\n";
  const testing::ProgramRun run = run_program({"plan", path("m.toml"), "--hf", path("theirs"), "--json"});
  EXPECT_EQ(run.status, 0) << run.error;
  EXPECT_THAT(run.out, AllOf(HasSubstr("\"hf\":\"" + path("theirs")), HasSubstr("\"vocabulary\":23")));
}

TEST_F(HuggingFace, a_cell_is_named_by_its_folder_wherever_that_lies) {
  random_hf_folder("GPT2LMHeadModel", 25).write(path("a/model"));
  random_hf_folder("GPT2LMHeadModel", 25).write(path("b/model"));
  const auto cell = [&](const std::string& hf) {
    return matrix_of(overrides_of({"layers=1"}, "", "", hf)).cells.front();
  };
  EXPECT_EQ(cell(path("a/model")).id, cell(path("b/model/")).id);
  EXPECT_THAT(cell(path("a/model")).id, HasSubstr("layers-1"));
  std::ofstream(path("cell.toml")) << to_toml(cell(path("a/model")).configuration);
  EXPECT_EQ(read_matrix(path("cell.toml"), {}).cells.front().id, cell(path("a/model")).id);
}

TEST_F(HuggingFace, overrides_that_the_weights_do_not_fit_are_refused) {
  random_hf_folder("GPT2LMHeadModel", 26).write(path("theirs"));
  EXPECT_THAT(refused({"step", "--hf", path("theirs"), "--set", "layers=1"}), HasSubstr("none of the model"));
  EXPECT_THAT(refused({"step", "--hf", path("theirs"), "--set", "head_bias=true"}), HasSubstr("head.bias"));
  EXPECT_THAT(refused({"step", "--hf", path("theirs"), "--set", "max_sequence=5"}),
              HasSubstr("transformer.wpe.weight"));
}

// Each is told in one line that names the file, before anything is planned: a thousand layers would take minutes.
TEST_F(HuggingFace, what_is_wrong_with_a_folder_is_told_by_its_file) {
  const fs::path weights = path("theirs/model.safetensors");
  const std::string tensor = "model.layers.1.mlp.up_proj.weight";
  const auto with = [&](const std::function<void(HfFolder&)>& change, const std::function<void()>& damage) {
    HfFolder made = random_hf_folder("LlamaForCausalLM", 29);
    if (change) change(made);
    made.write(path("theirs"));
    if (damage) damage();
    std::string said = refused({"step", "--hf", path("theirs"), "--save", path("saved.safetensors")});
    EXPECT_FALSE(fs::exists(path("saved.safetensors")));
    return said;
  };
  const auto first_bytes = [&](std::uint64_t length) {
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&length), sizeof length);
  };
  const auto config = [&](const char* field, const nlohmann::json& value) {
    return with([&](HfFolder& made) { made.config[field] = value; }, {});
  };
  EXPECT_THAT(with({}, [&] { fs::resize_file(weights, fs::file_size(weights) - 1); }),
              AllOf(HasSubstr("model.safetensors: tensor"), HasSubstr("truncated")));
  EXPECT_THAT(with({}, [&] { first_bytes(std::uint64_t{1} << 60); }),
              HasSubstr("a header of 1152921504606846976 bytes"));
  EXPECT_THAT(with({}, [&] { first_bytes(17); }), HasSubstr("model.safetensors: has a header that is not JSON"));
  EXPECT_THAT(with(
                  [&](HfFolder& made) {
                    made.tensor(tensor).shape = {16, 10};
                  },
                  {}),
              HasSubstr(tensor + "\" is fp32[16,10]: fp32, bf16 or fp16 [10,16] is needed"));
  EXPECT_THAT(with([&](HfFolder& made) { made.tensor(tensor).name += "s"; }, {}), HasSubstr(tensor + "\" is missing"));
  EXPECT_THAT(with(
                  [&](HfFolder& made) {
                    made.theirs.push_back({"score.weight", DType::u8, {0}, {}});
                  },
                  {}),
              HasSubstr("\"score.weight\" is none of the model"));
  EXPECT_THAT(
      with([&](HfFolder& made) { made.tensor(tensor).bytes[3] = made.tensor(tensor).bytes[2] = std::byte{0xff}; }, {}),
      HasSubstr(tensor + "\": element 0 is"));
  EXPECT_THAT(config("num_hidden_layers", 1000), HasSubstr("\"model.layers.2.input_layernorm.weight\" is missing"));
  EXPECT_THAT(config("num_hidden_layers", 1'000'000'000), HasSubstr("config.json: num_hidden_layers = 1000000000"));
  EXPECT_THAT(config("num_hidden_layers", 1), HasSubstr("is none of the model that config.json describes"));
  EXPECT_THAT(config("vocab_size", 1 << 20), HasSubstr("is fp32[23,16]: fp32, bf16 or fp16 [1048576,16] is needed"));
  EXPECT_THAT(config("num_key_value_heads", 4), HasSubstr("k_proj.weight\" is fp32[8,16]"));
  EXPECT_THAT(config("attention_bias", true), HasSubstr("q_proj.bias\" is missing"));
  EXPECT_THAT(config("tie_word_embeddings", true), HasSubstr("\"lm_head.weight\" differs"));
  EXPECT_THAT(config("hidden_size", 18), HasSubstr("config.json: model.heads = 4: must divide model.hidden = 18"));
  EXPECT_THAT(config("rope_scaling", {{"type", "yarn"}}), HasSubstr("config.json: rope_scaling.type = \"yarn\""));
}

TEST_F(HuggingFace, training_goes_on_from_a_folder_and_ends_in_one) {
  random_hf_folder("GPT2LMHeadModel", 27).write(path("theirs"));
  const std::vector<std::string> train{"train", "--hf",      path("theirs"), "--steps",           "2",
                                       "--out", path("run"), "--export",     "hf:" + path("mine")};
  ASSERT_EQ(run_program(train).status, 0);
  const std::vector<NamedTensor> mine = read_safetensors(path("mine/model.safetensors")).tensors;
  EXPECT_NE(mine, read_safetensors(path("theirs/model.safetensors")).tensors);
  fs::remove_all(path("mine"));
  ASSERT_EQ(run_program(train).status, 0);  // trained to the end already: only exported
  EXPECT_EQ(read_safetensors(path("mine/model.safetensors")).tensors, mine);
  random_hf_folder("GPT2LMHeadModel", 28).write(path("theirs"));
  EXPECT_THAT(refused(train), HasSubstr("another configuration: model.hf_hash.model.safetensors"));
}

TEST_F(HuggingFace, an_export_that_cannot_be_is_refused_before_the_work) {
  EXPECT_THAT(
      refused({"train", "--preset", "tiny", "--steps", "1", "--out", path("run"), "--export", "hf:" + path("mine")}),
      HasSubstr("--export hf:" + path("mine") + ": model.block_order = mlp-first"));
  EXPECT_FALSE(fs::exists(path("run")));
  EXPECT_THAT(refused({"step", "--preset", "gpt2-tiny", "--export", path("mine")}), HasSubstr("hf:DIR is needed"));
}

}  // namespace
}  // namespace stepscope
