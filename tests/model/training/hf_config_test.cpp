// Laws of reading config.json: published models have their published sizes, both spellings say the same, nothing that changes the numbers
// is passed over.
#include "model/training/hf_config.h"

#include <gmock/gmock.h>

#include <fstream>

#include "model/base/error.h"
#include "tests/support/hf_folder.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

class HfConfigTest : public TemporaryFolder {
 protected:
  HfConfig read(const std::string& text) {
    std::ofstream(folder / "config.json") << text;
    return read_hf_config(folder);
  }

  // Without the folder's name; nothing where it is not refused.
  std::string refusal(const std::string& text) {
    try {
      (void)read(text);
    } catch (const UsageError& error) {
      const std::string file = (folder / "config.json").string() + ": ";
      EXPECT_TRUE(std::string(error.what()).starts_with(file)) << error.what();
      return std::string(error.what()).substr(file.size());
    }
    return "";
  }

  std::string refusal_of(const Json& config) { return refusal(config.dump()); }

  // A good config of an architecture with one field changed.
  std::string refusal_with(const std::string& architecture, const std::string& field, const Json& value) {
    Json config = testing::random_hf_folder(architecture, 1).config;
    config[field] = value;
    return refusal_of(config);
  }

  std::int64_t parameters(const std::string& text) { return parameter_count(resolved(read(text).model)); }
};

// The fields of the published files that decide anything, and a few that do not.
constexpr const char* gpt2_small = R"({"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"],
  "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
  "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12,
  "n_positions": 1024, "resid_pdrop": 0.1, "summary_type": "cls_index", "summary_use_proj": true,
  "task_specific_params": {"text-generation": {"do_sample": true}}, "vocab_size": 50257})";
constexpr const char* llama_1b = R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
  "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001, "head_dim": 64, "hidden_act": "silu",
  "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 8192, "max_position_embeddings": 131072,
  "mlp_bias": false, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16,
  "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0,
  "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
  "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_cache": true,
  "vocab_size": 128256})";
constexpr const char* qwen2_half_b = R"({"architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0,
  "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
  "max_window_layers": 24, "model_type": "qwen2", "num_attention_heads": 14, "num_hidden_layers": 24,
  "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0, "sliding_window": 32768,
  "tie_word_embeddings": true, "use_mrope": false, "use_sliding_window": false, "vocab_size": 151936})";
constexpr const char* qwen3_half_b = R"({"architectures": ["Qwen3ForCausalLM"], "attention_bias": false,
  "attention_dropout": 0.0, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "intermediate_size": 3072,
  "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16,
  "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null,
  "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "use_sliding_window": false,
  "vocab_size": 151936})";

TEST_F(HfConfigTest, published_models_have_their_published_sizes) {
  EXPECT_EQ(parameters(gpt2_small), 124'439'808);
  EXPECT_EQ(parameters(llama_1b), 1'235'814'400);
  EXPECT_EQ(parameters(qwen2_half_b), 494'032'768);
  EXPECT_EQ(parameters(qwen3_half_b), 596'049'920);
  EXPECT_EQ(read(gpt2_small).architecture, "GPT2LMHeadModel");
  EXPECT_EQ(resolved(read(gpt2_small).model), resolved(preset_named("gpt2-124m").model));
}

TEST_F(HfConfigTest, both_spellings_of_wavelengths_say_the_same) {
  const ModelSettings four = read(llama_1b).model;
  EXPECT_EQ(four.rope_theta, 500000);
  EXPECT_EQ(four.rope_scaling, "llama3");
  EXPECT_EQ(four.rope_factor, 32);
  EXPECT_EQ(four.rope_original_sequence, 8192);
  Json config = Json::parse(llama_1b);
  config["rope_parameters"] = config["rope_scaling"];
  config["rope_parameters"]["rope_theta"] = config["rope_theta"];
  config.erase("rope_scaling");
  config.erase("rope_theta");
  config["dtype"] = config["torch_dtype"];
  EXPECT_EQ(read(config.dump()).model, four);
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 7.5}};
  EXPECT_EQ(read(config.dump()).model.rope_scaling, "none");
  EXPECT_EQ(read(config.dump()).model.rope_theta, 7.5);
  config.erase("rope_parameters");
  config["rope_scaling"] = {{"type", "default"}};  // the oldest spelling
  EXPECT_EQ(read(config.dump()).model.rope_theta, 10000);
}

TEST_F(HfConfigTest, dropout_of_others_is_told) {
  const HfConfig config = read(gpt2_small);
  EXPECT_EQ(config.model.dropout, 0);
  EXPECT_EQ(config.notes.size(), 3U);
  EXPECT_THAT(config.notes.front(), AllOf(HasSubstr("config.json: resid_pdrop = 0.1"), HasSubstr("model.dropout")));
  EXPECT_TRUE(read(llama_1b).notes.empty());
}

TEST_F(HfConfigTest, null_is_not_set) {
  Json config = Json::parse(qwen3_half_b);
  config["layer_types"] = config["head_dim"] = config["a_field_of_tomorrow"] = nullptr;
  EXPECT_EQ(read(config.dump()).model.head_dim, 128);
}

TEST_F(HfConfigTest, what_changes_the_numbers_is_refused_by_name) {
  EXPECT_THAT(refusal_with("GPT2LMHeadModel", "activation_function", "gelu"),
              HasSubstr("activation_function = \"gelu\""));
  EXPECT_THAT(refusal_with("GPT2LMHeadModel", "scale_attn_by_inverse_layer_idx", true), HasSubstr("= true: false is"));
  EXPECT_THAT(refusal_with("GPT2LMHeadModel", "add_cross_attention", true), HasSubstr("add_cross_attention"));
  EXPECT_THAT(refusal_with("GPT2LMHeadModel", "rotary_dim", 8), AllOf(HasSubstr("rotary_dim"), HasSubstr("not known")));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "hidden_act", "gelu"), HasSubstr("hidden_act = \"gelu\": \"silu\""));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "sliding_window", 128), HasSubstr("sliding_window"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "quantization_config", Json::object()),
              HasSubstr("quantization_config"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rope_scaling", {{"type", "linear"}, {"factor", 2}}),
              HasSubstr("rope_scaling.type = \"linear\""));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rope_parameters", {{"rope_type", "yarn"}}),
              HasSubstr("rope_parameters.rope_type"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rope_parameters", {{"full_attention", Json::object()}}),
              HasSubstr("full_attention"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rope_parameters", {{"rope_theta", 51.0}}),
              HasSubstr("rope_theta = 50.0"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}),
              HasSubstr("rope_scaling.low_freq_factor is missing"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "partial_rotary_factor", 0.5), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(refusal_with("Qwen2ForCausalLM", "use_mrope", true), HasSubstr("use_mrope"));
  EXPECT_THAT(refusal_with("Qwen3ForCausalLM", "layer_types", {"full_attention", "sliding_attention"}),
              HasSubstr("sliding_attention"));
  Json windows = testing::random_hf_folder("Qwen2ForCausalLM", 1).config;
  windows["use_sliding_window"] = true;
  windows["sliding_window"] = 4;
  EXPECT_EQ(refusal_of(windows), "");  // from layer 28 on, which this model does not have
  windows["max_window_layers"] = 1.5;
  EXPECT_THAT(refusal_of(windows), HasSubstr("max_window_layers = 1.5: a whole number"));
  windows["max_window_layers"] = 1;
  EXPECT_THAT(refusal_of(windows), HasSubstr("use_sliding_window = true"));
}

TEST_F(HfConfigTest, what_cannot_be_is_refused) {
  EXPECT_EQ(refusal("{"), "is not JSON: byte 2");
  EXPECT_EQ(refusal("[]"), "is not a JSON object");
  EXPECT_THAT(refusal("{}"), HasSubstr("architectures is missing"));
  EXPECT_THAT(refusal(R"({"architectures": ["MistralForCausalLM"]})"),
              AllOf(HasSubstr("MistralForCausalLM"), HasSubstr("Qwen3ForCausalLM can be read")));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "model_type", "gpt2"), HasSubstr("model_type = \"gpt2\": \"llama\""));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "hidden_size", std::int64_t{1} << 40), HasSubstr("from 1 to 1048576"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "hidden_size", 16.0), HasSubstr("hidden_size = 16.0: a whole number"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "hidden_size", -16), HasSubstr("hidden_size = -16"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "hidden_size", nullptr), HasSubstr("hidden_size = null"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "num_key_value_heads", 3), HasSubstr("kv_heads = 3: must divide"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "head_dim", 5), HasSubstr("head_dim = 5: must be even"));
  EXPECT_THAT(refusal_with("LlamaForCausalLM", "rms_norm_eps", 0), HasSubstr("rms_norm_eps = 0"));
  EXPECT_THAT(refusal_with("GPT2LMHeadModel", "n_layer", "two"), HasSubstr("n_layer = \"two\""));
  const std::string deep = std::string(300'000, '[') + std::string(300'000, ']');
  EXPECT_EQ(refusal(R"({"prefix": )" + deep + R"(, "architectures": ["GPT2LMHeadModel"]})"),
            "is nested deeper than 64 lists");
  EXPECT_THAT(refusal(R"({"architectures": ["GPT2LMHeadModel"], "model_type": [[1]]})"),
              HasSubstr("model_type = [...]"));
  EXPECT_THAT(refusal(std::string(2 << 20, ' ')), HasSubstr("is larger than"));
}

}  // namespace
}  // namespace stepscope
