#include "model/training/hf_export.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "model/base/error.h"
#include "model/base/file.h"
#include "model/training/hf_names.h"
#include "model/training/safetensors.h"

namespace stepscope {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* config_name = "config.json";
constexpr const char* weights_name = "model.safetensors";
const Metadata metadata{{"format", "pt"}, {"made_by", "stepscope"}};  // the first is what transformers asks for

template <class Value>
void demand(bool holds, std::string_view field, const Value& value, std::string_view right) {
  if (!holds) throw UsageError(fmt::format("model.{} = {}: {}", field, value, right));
}

void demand_common(const ModelSettings& m) {
  constexpr std::string_view none = "no architecture of Hugging Face that is known here has it";
  demand(m.block_order == "attention-first", "block_order", m.block_order, none);
  demand(!m.head_bias, "head_bias", m.head_bias, none);
  demand(std::count(m.mask.begin(), m.mask.end(), "causal") > 0, "mask", fmt::format("{} entries", m.mask.size()),
         "their decoders see no later token: \"causal\" must be among them");
  for (const std::string& mask : m.mask) demand(!mask.starts_with("custom"), "mask", mask, none);
}

void demand_gpt2(const ModelSettings& m) {
  constexpr std::string_view other = "GPT2LMHeadModel, which learned positions lead to, has another";
  demand(m.norm == "layer", "norm", m.norm, other);
  demand(m.activation == "gelu", "activation", m.activation, other);
  demand(m.qkv_bias, "qkv_bias", m.qkv_bias, other);
  demand(m.out_bias, "out_bias", m.out_bias, other);
  demand(m.mlp_bias, "mlp_bias", m.mlp_bias, other);
  demand(!m.qk_norm, "qk_norm", m.qk_norm, other);
  demand(m.kv_heads == m.heads, "kv_heads", m.kv_heads, "GPT2LMHeadModel has as many as heads");
  demand(m.heads * m.head_dim == m.hidden, "head_dim", m.head_dim, "GPT2LMHeadModel has hidden / heads");
}

std::string rotary_architecture_of(const ModelSettings& m) {
  constexpr std::string_view other = "the architectures with rotary positions have another";
  demand(m.norm == "rms", "norm", m.norm, other);
  demand(m.activation == "swiglu", "activation", m.activation, other);
  demand(m.dropout == 0, "dropout", m.dropout, "the architectures with rotary positions have none after their blocks");
  if (m.qk_norm) {
    demand(m.qkv_bias == m.out_bias, "out_bias", m.out_bias, "Qwen3ForCausalLM has it with qkv_bias or not at all");
    demand(!m.mlp_bias, "mlp_bias", m.mlp_bias, "Qwen3ForCausalLM has none");
    return "Qwen3ForCausalLM";
  }
  if (m.qkv_bias && !m.out_bias) {
    demand(!m.mlp_bias, "mlp_bias", m.mlp_bias, "Qwen2ForCausalLM has none");
    return "Qwen2ForCausalLM";
  }
  demand(m.qkv_bias == m.out_bias, "out_bias", m.out_bias, "LlamaForCausalLM has it with qkv_bias or not at all");
  demand(m.hidden % m.heads == 0, "heads", m.heads, "transformers asks LlamaForCausalLM for a divisor of hidden");
  return "LlamaForCausalLM";
}

// Said although the weights are there: it must lie in the range that transformers checks.
double initializer_range_of(const ModelSettings& m) {
  return m.initial_deviation > 0 && m.initial_deviation <= 1 ? m.initial_deviation : 0.02;
}

Json gpt2_config(const ModelSettings& m) {
  return {{"model_type", "gpt2"},
          {"vocab_size", m.vocabulary},
          {"n_positions", m.max_sequence},
          {"n_embd", m.hidden},
          {"n_layer", m.layers},
          {"n_head", m.heads},
          {"n_inner", m.mlp_hidden},
          {"activation_function", "gelu_new"},
          {"resid_pdrop", m.dropout},
          {"embd_pdrop", 0.0},
          {"attn_pdrop", 0.0},
          {"layer_norm_epsilon", m.norm_epsilon}};
}

// rope_theta and rope_scaling: the spelling of transformers 4, which 5 reads too.
Json rotary_config(const ModelSettings& m, const std::string& architecture) {
  const bool llama = architecture == "LlamaForCausalLM", qwen3 = architecture == "Qwen3ForCausalLM";
  Json config{{"model_type", llama   ? "llama"
                             : qwen3 ? "qwen3"
                                     : "qwen2"},
              {"vocab_size", m.vocabulary},
              {"max_position_embeddings", m.max_sequence},
              {"hidden_size", m.hidden},
              {"num_hidden_layers", m.layers},
              {"num_attention_heads", m.heads},
              {"num_key_value_heads", m.kv_heads},
              {"head_dim", m.head_dim},
              {"intermediate_size", m.mlp_hidden},
              {"hidden_act", "silu"},
              {"rms_norm_eps", m.norm_epsilon},
              {"attention_dropout", 0.0},
              {"rope_theta", m.rope_theta},
              {"rope_scaling", nullptr}};
  if (m.rope_scaling == "llama3")
    config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", m.rope_factor},
                              {"low_freq_factor", m.rope_low_frequency},
                              {"high_freq_factor", m.rope_high_frequency},
                              {"original_max_position_embeddings", m.rope_original_sequence}};
  if (llama || qwen3) config["attention_bias"] = m.qkv_bias;
  if (llama) config["mlp_bias"] = m.mlp_bias;
  if (!llama) config["use_sliding_window"] = false;
  return config;
}

std::string config_text(const ModelSettings& m) {
  const std::string architecture = hf_architecture_of(m);
  Json config = m.positions == "learned" ? gpt2_config(m) : rotary_config(m, architecture);
  config["architectures"] = {architecture};
  config["initializer_range"] = initializer_range_of(m);
  config["tie_word_embeddings"] = m.tied_head;
  config["bos_token_id"] = config["eos_token_id"] = nullptr;  // the model's tokens are not known to have any
  config["torch_dtype"] = "float32";
  return config.dump(2) + "\n";
}

std::vector<NamedTensor> tensors_of(const Program& program, const Executor& executor, const ModelSettings& model) {
  std::vector<NamedTensor> tensors;
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const State& parameter = program.state(id);
    std::vector<float> ours(static_cast<std::size_t>(parameter.type.shape.elements()));
    executor.read(id, std::as_writable_bytes(std::span(ours)));
    if (!std::all_of(ours.begin(), ours.end(), [](float x) { return std::isfinite(x); }))
      throw FailedCheck(fmt::format("{}: not exported, some of it is no finite number", parameter.name));
    for (const HfPiece& piece : hf_pieces_of(parameter.name, model)) {
      NamedTensor tensor{.name = piece.tensor, .dtype = DType::fp32, .shape = piece.shape, .bytes = {}};
      tensor.bytes.resize(static_cast<std::size_t>(piece.shape.elements()) * sizeof(float));
      piece.copy_out(ours, {reinterpret_cast<float*>(tensor.bytes.data()), tensor.bytes.size() / sizeof(float)});
      tensors.push_back(std::move(tensor));
    }
  }
  return tensors;
}

// "models/new/" is models/new.
fs::path without_slash(const fs::path& folder) { return fs::absolute(folder / ".").lexically_normal().parent_path(); }

bool is_export(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name != config_name && name != weights_name) return false;
  }
  try {
    return TensorReader(folder / weights_name).header().metadata == metadata;
  } catch (const UsageError&) {
    return false;
  }
}

void require_free(const fs::path& folder) {
  std::error_code error;
  const fs::path parent = folder.parent_path();
  if (::access(parent.c_str(), W_OK | X_OK) != 0)
    throw UsageError(fmt::format("{}: cannot be written: {}", parent.string(), std::generic_category().message(errno)));
  if (!fs::exists(fs::symlink_status(folder, error))) return;
  const bool taken = !fs::is_directory(folder, error) || fs::is_symlink(folder, error) ||
                     (!fs::is_empty(folder, error) && !is_export(folder));
  if (taken)
    throw UsageError(fmt::format("{}: is there already and no export of a model; name a new folder", folder.string()));
}

[[noreturn]] void fail(const fs::path& folder, int error) {
  throw MachineError(fmt::format("{}: cannot be written: {}", folder.string(), std::generic_category().message(error)));
}

// One rename, so that one of the two is always there whole.
void put_in_place(const fs::path& made, const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) {
    if (::rename(made.c_str(), folder.c_str()) != 0) fail(folder, errno);
  } else if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) != 0) {
    fail(folder, errno);
  } else {
    fs::remove_all(made, error);
  }
  const int parent = ::open(folder.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) fail(folder, errno);
  ::fsync(parent);  // a file system that cannot keeps its own order
  ::close(parent);
}

}  // namespace

std::string hf_architecture_of(const ModelSettings& model) {
  demand_common(model);
  if (model.positions == "rotary") return rotary_architecture_of(model);
  demand_gpt2(model);
  return "GPT2LMHeadModel";
}

void require_exportable(const ModelSettings& model, const fs::path& folder) {
  (void)hf_architecture_of(model);
  require_free(without_slash(folder));
}

void export_hf(const Program& program, const Executor& executor, const ModelSettings& model, const fs::path& folder) {
  const fs::path place = without_slash(folder);
  require_free(place);
  const fs::path made = place.string() + ".tmp-" + std::to_string(::getpid());
  std::error_code error;
  fs::remove_all(made, error);
  if (!fs::create_directory(made, error)) fail(made, error.value());
  try {
    write_atomically(made / config_name, config_text(model));
    write_safetensors(made / weights_name, tensors_of(program, executor, model), metadata);
    put_in_place(made, place);
  } catch (...) {
    fs::remove_all(made, error);
    throw;
  }
}

}  // namespace stepscope
