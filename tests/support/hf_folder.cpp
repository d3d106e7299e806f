#include "tests/support/hf_folder.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <random>
#include <stdexcept>

namespace stepscope::testing {

namespace {

using Json = nlohmann::ordered_json;
using Floats = std::vector<float>;

constexpr std::int64_t layers = 2, hidden = 16, heads = 4, mlp_hidden = 10, vocabulary = 23, positions = 9;

class Maker {
 public:
  Maker(const std::string& architecture, std::uint32_t seed)
      : gpt2_(architecture == "GPT2LMHeadModel"),
        kv_heads_(gpt2_ ? heads : 2),
        head_dim_(architecture == "Qwen3ForCausalLM" ? 6 : 4),
        random_(seed) {}

  HfFolder made;

  void table(const std::string& theirs, const std::string& ours, std::int64_t rows) {
    const Floats values = draw(rows * hidden, 0, 0.3F);
    add(made.theirs, theirs, {rows, hidden}, values);
    add(made.ours, ours, {rows, hidden}, values);
  }

  void norm(const std::string& theirs, const std::string& ours, std::int64_t features) {
    const Floats scale = draw(features, 1, 0.2F), bias = draw(features, 0, 0.2F);
    add(made.theirs, theirs + ".weight", {features}, scale);
    add(made.ours, ours + ".scale", {features}, scale);
    if (!gpt2_) return;
    add(made.theirs, theirs + ".bias", {features}, bias);
    add(made.ours, ours + ".bias", {features}, bias);
  }

  void dense(const std::string& theirs, const std::string& ours, std::int64_t in, std::int64_t out, bool with_bias) {
    const Floats weight = draw(in * out, 0, 0.3F), bias = draw(out, 0, 0.2F);
    add(made.ours, ours + ".weight", {in, out}, weight);
    add_theirs(theirs, in, out, weight, with_bias ? bias : Floats());
    if (with_bias) add(made.ours, ours + ".bias", {out}, bias);
  }

  // Ours, feature by feature, is where theirs puts (part, head, d).
  void qkv(const std::string& theirs, const std::string& ours, bool with_bias) {
    const std::int64_t group = heads / kv_heads_, d = head_dim_, width = (heads + 2 * kv_heads_) * d;
    const Floats weight = draw(hidden * width, 0, 0.3F), bias = draw(width, 0, 0.2F);
    add(made.ours, ours + ".weight", {hidden, width}, weight);
    if (with_bias) add(made.ours, ours + ".bias", {width}, bias);
    std::vector<std::int64_t> columns[3];  // of queries, keys, values, in their order
    for (std::int64_t h = 0; h < heads; ++h) add_head(columns[0], (h / group) * (group + 2) + h % group);
    for (std::int64_t g = 0; g < kv_heads_; ++g) add_head(columns[1], g * (group + 2) + group);
    for (std::int64_t g = 0; g < kv_heads_; ++g) add_head(columns[2], g * (group + 2) + group + 1);
    if (gpt2_) {
      for (const int part : {1, 2}) columns[0].insert(columns[0].end(), columns[part].begin(), columns[part].end());
      add_columns(theirs + "c_attn", columns[0], weight, width, with_bias ? bias : Floats());
      return;
    }
    const char* names[] = {"q_proj", "k_proj", "v_proj"};
    for (const int part : {0, 1, 2})
      add_columns(theirs + names[part], columns[part], weight, width, with_bias ? bias : Floats());
  }

  [[nodiscard]] std::int64_t kv_heads() const { return kv_heads_; }
  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }

 private:
  Floats draw(std::int64_t count, float mean, float deviation) {
    std::normal_distribution<float> normal(mean, deviation);
    Floats values(static_cast<std::size_t>(count));
    for (float& value : values) value = normal(random_);
    return values;
  }

  void add_head(std::vector<std::int64_t>& columns, std::int64_t slot) const {
    for (std::int64_t i = 0; i < head_dim_; ++i) columns.push_back(slot * head_dim_ + i);
  }

  void add_columns(const std::string& theirs, const std::vector<std::int64_t>& columns, const Floats& weight,
                   std::int64_t width, const Floats& bias) {
    Floats part, part_bias;
    for (std::int64_t row = 0; row < hidden; ++row)
      for (const std::int64_t column : columns) part.push_back(weight[static_cast<std::size_t>(row * width + column)]);
    if (!bias.empty())
      for (const std::int64_t column : columns) part_bias.push_back(bias[static_cast<std::size_t>(column)]);
    add_theirs(theirs, hidden, static_cast<std::int64_t>(columns.size()), part, part_bias);
  }

  void add_theirs(const std::string& name, std::int64_t in, std::int64_t out, const Floats& weight,
                  const Floats& bias) {
    Floats turned(weight.size());
    for (std::int64_t i = 0; i < in; ++i)
      for (std::int64_t o = 0; o < out; ++o)
        turned[static_cast<std::size_t>(o * in + i)] = weight[static_cast<std::size_t>(i * out + o)];
    if (gpt2_)
      add(made.theirs, name + ".weight", {in, out}, weight);
    else
      add(made.theirs, name + ".weight", {out, in}, turned);
    if (!bias.empty()) add(made.theirs, name + ".bias", {out}, bias);
  }

  static void add(std::vector<NamedTensor>& list, const std::string& name, const Shape& shape, const Floats& values) {
    NamedTensor tensor{.name = name, .dtype = DType::fp32, .shape = shape, .bytes = {}};
    tensor.bytes.resize(values.size() * sizeof(float));
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    list.push_back(std::move(tensor));
  }

  bool gpt2_;
  std::int64_t kv_heads_, head_dim_;
  std::mt19937 random_;
};

HfFolder gpt2(Maker maker) {
  maker.table("transformer.wte.weight", "embedding", vocabulary);
  maker.table("transformer.wpe.weight", "positions", positions);
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string theirs = "transformer.h." + std::to_string(i) + ".", ours = "blocks." + std::to_string(i) + ".";
    maker.norm(theirs + "ln_1", ours + "attention.norm", hidden);
    maker.qkv(theirs + "attn.", ours + "attention.qkv", true);
    maker.dense(theirs + "attn.c_proj", ours + "attention.out", hidden, hidden, true);
    maker.norm(theirs + "ln_2", ours + "mlp.norm", hidden);
    maker.dense(theirs + "mlp.c_fc", ours + "mlp.up", hidden, mlp_hidden, true);
    maker.dense(theirs + "mlp.c_proj", ours + "mlp.down", mlp_hidden, hidden, true);
  }
  maker.norm("transformer.ln_f", "final_norm", hidden);
  HfFolder made = std::move(maker.made);
  made.config = {{"architectures", {"GPT2LMHeadModel"}},
                 {"model_type", "gpt2"},
                 {"n_layer", layers},
                 {"n_embd", hidden},
                 {"n_head", heads},
                 {"n_inner", mlp_hidden},
                 {"vocab_size", vocabulary},
                 {"n_positions", positions},
                 {"layer_norm_epsilon", 1e-3},
                 {"activation_function", "gelu_new"}};
  return made;
}

HfFolder rotary(const std::string& architecture, Maker maker, bool tied) {
  const bool qwen2 = architecture == "Qwen2ForCausalLM", qwen3 = architecture == "Qwen3ForCausalLM";
  const std::int64_t width = heads * maker.head_dim();
  maker.table("model.embed_tokens.weight", "embedding", vocabulary);
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string theirs = "model.layers." + std::to_string(i) + ".", ours = "blocks." + std::to_string(i) + ".";
    maker.norm(theirs + "input_layernorm", ours + "attention.norm", hidden);
    maker.qkv(theirs + "self_attn.", ours + "attention.qkv", qwen2);
    if (qwen3) maker.norm(theirs + "self_attn.q_norm", ours + "attention.q_norm", maker.head_dim());
    if (qwen3) maker.norm(theirs + "self_attn.k_norm", ours + "attention.k_norm", maker.head_dim());
    maker.dense(theirs + "self_attn.o_proj", ours + "attention.out", width, hidden, false);
    maker.norm(theirs + "post_attention_layernorm", ours + "mlp.norm", hidden);
    maker.dense(theirs + "mlp.gate_proj", ours + "mlp.gate", hidden, mlp_hidden, false);
    maker.dense(theirs + "mlp.up_proj", ours + "mlp.up", hidden, mlp_hidden, false);
    maker.dense(theirs + "mlp.down_proj", ours + "mlp.down", mlp_hidden, hidden, false);
  }
  maker.norm("model.norm", "final_norm", hidden);
  if (!tied) maker.dense("lm_head", "head", hidden, vocabulary, false);
  HfFolder made = std::move(maker.made);
  made.config = {{"architectures", {architecture}},
                 {"model_type", qwen2   ? "qwen2"
                                : qwen3 ? "qwen3"
                                        : "llama"},
                 {"num_hidden_layers", layers},
                 {"hidden_size", hidden},
                 {"num_attention_heads", heads},
                 {"num_key_value_heads", maker.kv_heads()},
                 {"intermediate_size", mlp_hidden},
                 {"vocab_size", vocabulary},
                 {"max_position_embeddings", positions},
                 {"rms_norm_eps", 1e-3},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", tied},
                 {"rope_theta", 50.0}};
  if (qwen3) made.config["head_dim"] = maker.head_dim();
  return made;
}

}  // namespace

void HfFolder::write(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump(2);
  write_safetensors(folder / "model.safetensors", theirs, {{"format", "pt"}});
}

void HfFolder::write_sharded(const std::filesystem::path& folder, std::size_t files) const {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump(2);
  Json index{{"metadata", {{"total_size", 1}}}, {"weight_map", Json::object()}};
  for (std::size_t file = 0; file < files; ++file) {
    const std::string name = "model-" + std::to_string(file + 1) + ".safetensors";
    std::vector<NamedTensor> part;
    for (std::size_t i = file; i < theirs.size(); i += files) {
      index["weight_map"][theirs[i].name] = name;
      part.push_back(theirs[i]);
    }
    write_safetensors(folder / name, part, {{"format", "pt"}});
  }
  std::ofstream(folder / "model.safetensors.index.json") << index.dump(2);
}

NamedTensor& HfFolder::tensor(const std::string& name) {
  const auto found = std::find_if(theirs.begin(), theirs.end(), [&](const NamedTensor& t) { return t.name == name; });
  if (found == theirs.end()) throw std::invalid_argument(name);
  return *found;
}

HfFolder random_hf_folder(const std::string& architecture, std::uint32_t seed, bool tied) {
  Maker maker(architecture, seed);
  return architecture == "GPT2LMHeadModel" ? gpt2(std::move(maker)) : rotary(architecture, std::move(maker), tied);
}

std::vector<float> floats_of(const NamedTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

}  // namespace stepscope::testing
