// Laws of reading and writing Hugging Face folders, over GPT-2's names (the other architectures' are held by tests/end_to_end): the same
// weights however they are stored, back to the same bits after an export, and one clear refusal for whatever is wrong.
#include "model/training/hf_weights.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "model/base/error.h"
#include "model/base/half.h"
#include "model/cpu/machine.h"
#include "model/execution/cpu_executor.h"
#include "model/training/hf_config.h"
#include "model/training/hf_export.h"
#include "model/training/step_program.h"
#include "tests/support/hf_folder.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::HfFolder;
using testing::random_hf_folder;

constexpr const char* gpt2 = "GPT2LMHeadModel";

// The program of a config.json, and its parameters as a folder gives them.
struct Loaded {
  ModelSettings model;
  Step step;
  std::unique_ptr<CpuExecutor> executor;

  explicit Loaded(const fs::path& folder)
      : model(resolved(read_hf_config(folder).model)),
        step(build_step(model, {.global_batch = 1, .sequence = 4}, {}, this_cpu(1))),
        executor(std::make_unique<CpuExecutor>(step.program, step.plan, this_cpu(1))) {
    load_hf_weights(step.program, *executor, folder, model);
  }

  [[nodiscard]] std::vector<float> parameter(const std::string& name) const {
    const StateId id = step.program.find_state(name);
    std::vector<float> values(static_cast<std::size_t>(step.program.state(id).type.shape.elements()));
    executor->read(id, std::as_writable_bytes(std::span(values)));
    return values;
  }

  void expect(const HfFolder& made) const {
    ASSERT_EQ(step.program.states_of(StateKind::parameter).size(), made.ours.size());
    for (const NamedTensor& tensor : made.ours)
      EXPECT_EQ(parameter(tensor.name), testing::floats_of(tensor)) << tensor.name;
  }
};

class HfWeights : public TemporaryFolder {
 protected:
  // What reading says, less the path of the folder; nothing where it is not refused.
  std::string refusal() {
    try {
      Loaded loaded(folder);
    } catch (const UsageError& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with(folder.string())) << error.what();
      return std::string(error.what()).substr(folder.string().size());
    }
    return "";
  }

  std::string refusal(const HfFolder& made) {
    made.write(folder);
    return refusal();
  }

  template <class Narrow>
  void narrow(HfFolder& made, DType dtype) {
    for (NamedTensor& tensor : made.theirs) {
      const std::vector<float> values = testing::floats_of(tensor);
      tensor.dtype = dtype;
      tensor.bytes.resize(values.size() * sizeof(Narrow));
      for (std::size_t i = 0; i < values.size(); ++i) {
        const Narrow value = store<Narrow>(values[i]);
        std::memcpy(tensor.bytes.data() + i * sizeof(Narrow), &value, sizeof(Narrow));
      }
    }
    for (NamedTensor& tensor : made.ours) {
      std::vector<float> values = testing::floats_of(tensor);
      for (float& value : values) value = load(store<Narrow>(value));
      std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    }
  }
};

TEST_F(HfWeights, every_element_is_where_its_architecture_means_it) {
  const HfFolder made = random_hf_folder(gpt2, 1);
  made.write(folder);
  Loaded(folder).expect(made);
}

TEST_F(HfWeights, the_short_types_are_widened_exactly) {
  HfFolder made = random_hf_folder(gpt2, 2);
  narrow<bf16>(made, DType::bf16);
  made.write(folder);
  Loaded(folder).expect(made);
  made = random_hf_folder(gpt2, 3);
  narrow<fp16>(made, DType::fp16);
  made.write(folder);
  Loaded(folder).expect(made);
}

TEST_F(HfWeights, several_files_hold_what_one_does) {
  const HfFolder made = random_hf_folder(gpt2, 4);
  made.write_sharded(folder, 5);
  Loaded(folder).expect(made);
}

TEST_F(HfWeights, saved_without_the_outer_module_and_with_the_constants_of_old_versions) {
  HfFolder made = random_hf_folder(gpt2, 5);
  const HfFolder whole = made;
  for (NamedTensor& tensor : made.theirs) tensor.name = tensor.name.substr(std::string("transformer.").size());
  made.theirs.push_back({.name = "h.0.attn.bias", .dtype = DType::u8, .shape = {1, 1, 1, 1}, .bytes = {std::byte{1}}});
  made.theirs.push_back(
      {.name = "h.0.attn.masked_bias", .dtype = DType::fp32, .shape = {}, .bytes = std::vector<std::byte>(4)});
  made.write(folder);
  Loaded(folder).expect(whole);
}

TEST_F(HfWeights, a_tied_head_written_once_more_must_be_the_embedding) {
  HfFolder made = random_hf_folder(gpt2, 6);
  made.theirs.push_back(made.tensor("transformer.wte.weight"));
  made.theirs.back().name = "lm_head.weight";
  EXPECT_EQ(refusal(made), "");
  made.theirs.back().bytes[2] ^= std::byte{1};
  EXPECT_THAT(refusal(made), HasSubstr("\"lm_head.weight\" differs from transformer.wte.weight"));
}

TEST_F(HfWeights, an_export_is_read_back_to_the_same_bits) {
  const HfFolder made = random_hf_folder(gpt2, 7);
  made.write(folder / "theirs");
  const Loaded loaded(folder / "theirs");
  for (int time = 0; time < 2; ++time) {  // the second takes the place of the first
    require_exportable(loaded.model, folder / "mine/");
    export_hf(loaded.step.program, *loaded.executor, loaded.model, folder / "mine/");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);
    const Loaded back(folder / "mine");
    EXPECT_EQ(back.model, loaded.model);
    back.expect(made);
  }
  EXPECT_EQ(read_safetensors(folder / "mine" / "model.safetensors").metadata.at("format"), "pt");
}

TEST_F(HfWeights, what_is_not_finite_is_not_exported) {
  random_hf_folder(gpt2, 13).write(folder / "theirs");
  const Loaded loaded(folder / "theirs");
  std::vector<float> values = loaded.parameter("blocks.1.mlp.up.bias");
  values[3] = NAN;
  loaded.executor->write(loaded.step.program.find_state("blocks.1.mlp.up.bias"), std::as_bytes(std::span(values)));
  EXPECT_THROW(export_hf(loaded.step.program, *loaded.executor, loaded.model, folder / "mine"), FailedCheck);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
}

TEST_F(HfWeights, an_export_replaces_nothing_else) {
  const ModelSettings model = resolved(preset_named("gpt2-tiny").model);
  const auto refused = [&](const fs::path& place) {
    try {
      require_exportable(model, place);
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  random_hf_folder(gpt2, 8).write(folder / "theirs");  // no export of ours
  fs::create_directory(folder / "empty");
  std::ofstream(folder / "file") << "x";
  EXPECT_THAT(refused(folder / "theirs"), HasSubstr("is there already"));
  EXPECT_THAT(refused(folder / "file"), HasSubstr("is there already"));
  EXPECT_THAT(refused(folder / "absent" / "x"), HasSubstr("cannot be written"));
  EXPECT_EQ(refused(folder / "empty"), "");
}

TEST_F(HfWeights, what_no_architecture_has_is_not_exported) {
  const auto refused = [](const std::function<void(ModelSettings&)>& change, const char* preset = "gpt2-tiny") {
    ModelSettings model = preset_named(preset).model;
    change(model);
    try {
      (void)hf_architecture_of(resolved(model));
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto rotary = [](const std::function<void(ModelSettings&)>& change) {
    return [change](ModelSettings& m) {
      m.positions = "rotary", m.norm = "rms", m.activation = "swiglu", m.qkv_bias = m.out_bias = m.mlp_bias = false;
      change(m);
    };
  };
  EXPECT_EQ(refused([](ModelSettings&) {}), "");
  EXPECT_EQ(refused(rotary([](ModelSettings&) {})), "");
  EXPECT_EQ(refused([](ModelSettings& m) { m.dropout = 0.1; }), "");  // resid_pdrop
  EXPECT_THAT(refused([](ModelSettings&) {}, "tiny"), HasSubstr("model.block_order = mlp-first"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.head_bias = true; }), HasSubstr("model.head_bias = true"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.mask = {}; }), HasSubstr("model.mask"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.mask = {"causal", "custom:f"}; }), HasSubstr("model.mask = custom:f"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.norm = "rms"; }), HasSubstr("model.norm = rms"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.mlp_bias = false; }), HasSubstr("model.mlp_bias = false"));
  EXPECT_THAT(refused([](ModelSettings& m) { m.head_dim = 8; }), HasSubstr("model.head_dim = 8"));
  EXPECT_THAT(refused(rotary([](ModelSettings& m) { m.dropout = 0.1; })), HasSubstr("model.dropout = 0.1"));
  EXPECT_THAT(refused(rotary([](ModelSettings& m) { m.out_bias = true; })), HasSubstr("model.out_bias = true"));
  EXPECT_THAT(refused(rotary([](ModelSettings& m) { m.qk_norm = m.mlp_bias = true; })),
              HasSubstr("Qwen3ForCausalLM has none"));
  EXPECT_THAT(refused(rotary([](ModelSettings& m) { m.norm = "layer"; })), HasSubstr("model.norm = layer"));
}

TEST_F(HfWeights, a_tensor_that_is_wrong_is_named_with_its_file) {
  HfFolder made = random_hf_folder(gpt2, 9);
  made.tensor("transformer.ln_f.weight").shape = {4, 4};
  EXPECT_EQ(refusal(made),
            "/model.safetensors: tensor \"transformer.ln_f.weight\" is fp32[4,4]: fp32, bf16 or fp16 [16] is needed");
  made = random_hf_folder(gpt2, 9);
  made.tensor("transformer.ln_f.weight").dtype = DType::int32;
  EXPECT_THAT(refusal(made), HasSubstr("\"transformer.ln_f.weight\" is int32[16]"));
  made = random_hf_folder(gpt2, 9);
  made.tensor("transformer.h.1.mlp.c_fc.bias").name = "transformer.h.2.mlp.c_fc.bias";
  EXPECT_THAT(refusal(made),
              AllOf(HasSubstr("model.safetensors"), HasSubstr("\"transformer.h.1.mlp.c_fc.bias\" is missing")));
  made = random_hf_folder(gpt2, 9);
  made.theirs.push_back({.name = "score.weight", .dtype = DType::u8, .shape = {1}, .bytes = {std::byte{}}});
  EXPECT_THAT(refusal(made), HasSubstr("\"score.weight\" is none of the model"));
  made = random_hf_folder(gpt2, 9);
  const float infinite = INFINITY;
  std::memcpy(made.tensor("transformer.wpe.weight").bytes.data() + 8, &infinite, sizeof infinite);
  EXPECT_THAT(refusal(made), HasSubstr("\"transformer.wpe.weight\": element 2 is inf"));
  made = random_hf_folder(gpt2, 9);
  made.config["n_layer"] = 3;
  EXPECT_THAT(refusal(made), HasSubstr("\"transformer.h.2."));
  made.config["n_layer"] = 1;
  EXPECT_THAT(refusal(made), HasSubstr("is none of the model that config.json describes"));
}

TEST_F(HfWeights, an_index_that_lies) {
  const auto index = folder / "model.safetensors.index.json";
  const auto with_index = [&](const std::function<void(nlohmann::json&)>& change) {
    random_hf_folder(gpt2, 10).write_sharded(folder, 3);
    nlohmann::json json = nlohmann::json::parse(std::ifstream(index));
    change(json["weight_map"]);
    std::ofstream(index) << json;
    return refusal();
  };
  EXPECT_EQ(with_index([](nlohmann::json&) {}), "");
  EXPECT_THAT(with_index([](nlohmann::json& map) { map["transformer.wpe.weight"] = "model-1.safetensors"; }),
              HasSubstr("/model-1.safetensors: tensor \"transformer.wpe.weight\" is missing"));
  EXPECT_THAT(with_index([](nlohmann::json& map) { map["transformer.wpe.weight"] = "model-9.safetensors"; }),
              AllOf(HasSubstr("index.json: tensor \"transformer.wpe.weight\""),
                    HasSubstr("\"model-9.safetensors\" is missing")));
  EXPECT_THAT(with_index([](nlohmann::json& map) { map.erase("transformer.wpe.weight"); }),
              HasSubstr("tensor \"transformer.wpe.weight\" is not in model.safetensors.index.json"));
  EXPECT_THAT(with_index([](nlohmann::json& map) { map["transformer.wpe.weight"] = "../model-1.safetensors"; }),
              HasSubstr("lies in no file NAME.safetensors of this folder"));
  EXPECT_THAT(with_index([](nlohmann::json& map) { map["transformer.wpe.weight"] = 7; }), HasSubstr("lies in no file"));
  EXPECT_THAT(with_index([](nlohmann::json& map) { map = nlohmann::json::object(); }), HasSubstr("has no weight_map"));
  std::ofstream(index) << "{";
  EXPECT_THAT(refusal(), HasSubstr("index.json: is not JSON"));
  fs::remove(index);
  EXPECT_THAT(refusal(), HasSubstr("has no model.safetensors"));
}

// Whatever happens to the bytes of a folder: it is read, or refused in one line that begins with its name.
TEST_F(HfWeights, changed_bytes_are_read_or_refused) {
  std::mt19937 random(11);
  const auto mutate = [&](std::string bytes) {
    const auto at = [&] { return random() % (bytes.size() + 1); };
    for (std::uint32_t i = 0, changes = 1 + random() % 3; i < changes && !bytes.empty(); ++i) {
      switch (random() % 5) {
        case 0: bytes[random() % bytes.size()] = static_cast<char>(random()); break;
        case 1:
          bytes[random() % std::min<std::size_t>(bytes.size(), 2000)] ^= static_cast<char>(1U << random() % 8);
          break;
        case 2: bytes.resize(at()); break;
        case 3: bytes.insert(at(), std::string(1 + random() % 9, "0[{\",:-e\0"[random() % 9])); break;
        default: bytes.erase(at(), random() % 20);
      }
    }
    return bytes;
  };
  std::map<std::string, std::string> files;
  const fs::path whole = folder / "whole";
  random_hf_folder(gpt2, 12).write_sharded(whole, 2);
  for (const fs::directory_entry& entry : fs::directory_iterator(whole)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    files[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(stream), {});
  }
  int read = 0;
  for (int i = 0; i < 1000; ++i) {
    for (const auto& [name, bytes] : files) std::ofstream(folder / name, std::ios::binary) << bytes;
    const auto& [name, bytes] = *std::next(files.begin(), static_cast<std::ptrdiff_t>(random() % files.size()));
    std::ofstream(folder / name, std::ios::binary) << mutate(bytes);
    try {
      const std::string said = refusal();
      read += said.empty() ? 1 : 0;
      EXPECT_EQ(said.find('\n'), std::string::npos) << said;
    } catch (const std::exception& error) {
      FAIL() << name << ": " << error.what();
    }
  }
  EXPECT_GT(read, 0);
  EXPECT_LT(read, 900);
}

}  // namespace
}  // namespace stepscope
