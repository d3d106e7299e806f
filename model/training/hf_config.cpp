#include "model/training/hf_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "model/base/error.h"
#include "model/training/hf_json.h"

namespace stepscope {

namespace {

using Json = nlohmann::json;

constexpr std::uint64_t largest_config_bytes = 1 << 20;
constexpr std::int64_t most_layers = 1024, most_heads = 4096, widest = 1 << 20;

// Fields that say nothing about what a step computes: names, tokens, the type weights were stored in, text generation, heads of other tasks.
constexpr std::string_view without_effect[] = {"transformers_version",
                                               "torch_dtype",
                                               "dtype",
                                               "use_cache",
                                               "_name_or_path",
                                               "name_or_path",
                                               "_commit_hash",
                                               "attn_implementation",
                                               "_attn_implementation",
                                               "_attn_implementation_autoset",
                                               "experts_implementation",
                                               "bos_token_id",
                                               "eos_token_id",
                                               "pad_token_id",
                                               "sep_token_id",
                                               "cls_token_id",
                                               "unk_token_id",
                                               "mask_token_id",
                                               "decoder_start_token_id",
                                               "tokenizer_class",
                                               "prefix",
                                               "id2label",
                                               "label2id",
                                               "num_labels",
                                               "problem_type",
                                               "finetuning_task",
                                               "task_specific_params",
                                               "return_dict",
                                               "output_hidden_states",
                                               "output_attentions",
                                               "torchscript",
                                               "tf_legacy_loss",
                                               "use_bfloat16",
                                               "chunk_size_feed_forward",
                                               "gradient_checkpointing",
                                               "is_decoder",
                                               "tie_encoder_decoder",
                                               "tie_last_hidden_states",
                                               "pretraining_tp",
                                               "n_ctx",
                                               "summary_type",
                                               "summary_use_proj",
                                               "summary_activation",
                                               "summary_proj_to_labels",
                                               "summary_first_dropout",
                                               "reorder_and_upcast_attn",
                                               "max_length",
                                               "min_length",
                                               "do_sample",
                                               "early_stopping",
                                               "num_beams",
                                               "num_beam_groups",
                                               "diversity_penalty",
                                               "temperature",
                                               "top_k",
                                               "top_p",
                                               "typical_p",
                                               "repetition_penalty",
                                               "length_penalty",
                                               "no_repeat_ngram_size",
                                               "encoder_no_repeat_ngram_size",
                                               "bad_words_ids",
                                               "num_return_sequences",
                                               "output_scores",
                                               "return_dict_in_generate",
                                               "forced_bos_token_id",
                                               "forced_eos_token_id",
                                               "suppress_tokens",
                                               "begin_suppress_tokens",
                                               "exponential_decay_length_penalty",
                                               "remove_invalid_values"};

// Fields that change the numbers unless they have this one value.
struct OnlyValue {
  std::string_view name;
  Json value;
};
const std::vector<OnlyValue>& only_values() {
  static const std::vector<OnlyValue> list{{"is_encoder_decoder", false}, {"add_cross_attention", false},
                                           {"scale_attn_weights", true},  {"scale_attn_by_inverse_layer_idx", false},
                                           {"use_mrope", false},          {"rope_interleaved", false},
                                           {"partial_rotary_factor", 1},  {"pruned_heads", Json::object()}};
  return list;
}

// A list is not written out: a message is one line.
std::string shown(const Json& value) {
  if (value.is_array()) return "[...]";
  if (value.is_object()) return "{...}";
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

// The fields of one object of the file. Every one that is asked for counts as understood; the rest is refused at the end.
class Fields {
 public:
  Fields(std::string path, std::string prefix, const Json& object)
      : path_(std::move(path)), prefix_(std::move(prefix)), object_(object) {}

  [[noreturn]] void refuse(const std::string& name, const std::string& right) const {
    const Json* value = find(name);
    throw UsageError(value == nullptr ? fmt::format("{}: {}{} is missing: {}", path_, prefix_, name, right)
                                      : fmt::format("{}: {}{} = {}: {}", path_, prefix_, name, shown(*value), right));
  }

  // Null where the field is missing or null: transformers writes both for "not set".
  const Json* take(const std::string& name) {
    taken_.insert(name);
    const Json* value = find(name);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  std::int64_t whole(const std::string& name, std::int64_t most, std::optional<std::int64_t> otherwise = {},
                     std::uint64_t least = 1) {
    const Json* value = take(name);
    if (value == nullptr && otherwise) return *otherwise;
    const bool fits = value != nullptr && value->is_number_unsigned() && value->get<std::uint64_t>() >= least &&
                      value->get<std::uint64_t>() <= static_cast<std::uint64_t>(most);
    if (!fits) refuse(name, fmt::format("a whole number from {} to {} is needed", least, most));
    return value->get<std::int64_t>();
  }

  double number(const std::string& name, double least, double most, std::optional<double> otherwise) {
    const Json* value = take(name);
    if (value == nullptr && otherwise) return *otherwise;
    const bool fits =
        value != nullptr && value->is_number() && value->get<double>() >= least && value->get<double>() <= most;
    if (!fits) refuse(name, fmt::format("a number from {} to {} is needed", least, most));
    return value->get<double>();
  }

  bool flag(const std::string& name, bool otherwise) {
    const Json* value = take(name);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) refuse(name, "true or false is needed");
    return value->get<bool>();
  }

  std::string text(const std::string& name, const std::vector<std::string>& allowed, const std::string& otherwise) {
    const Json* value = take(name);
    if (value == nullptr) return otherwise;
    const bool known = value->is_string() && std::count(allowed.begin(), allowed.end(), value->get<std::string>()) > 0;
    if (!known) refuse(name, fmt::format("\"{}\" is what can be computed here", fmt::join(allowed, "\" or \"")));
    return value->get<std::string>();
  }

  void pass_over(std::span<const std::string_view> names) {
    for (const std::string_view name : names) taken_.insert(std::string(name));
  }

  void require_only() {
    for (const OnlyValue& only : only_values()) {
      const std::string name(only.name);
      const Json* value = take(name);
      if (value != nullptr && *value != only.value) refuse(name, shown(only.value) + " is what can be computed here");
    }
  }

  void refuse_unknown() const {
    for (const auto& [name, value] : object_.items())
      if (!value.is_null() && !taken_.contains(name))
        throw UsageError(fmt::format(
            "{}: {}{} = {}: what this field does to the numbers is not known here; if it does nothing, take it out",
            path_, prefix_, shown(name), shown(value)));
  }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  [[nodiscard]] const Json* find(const std::string& name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  std::string path_, prefix_;
  const Json& object_;
  std::set<std::string> taken_;
};

struct Architecture {
  std::string_view name, model_type;
  void (*read)(Fields& fields, HfConfig& config);
};

// Training of others: what they dropped is told, not repeated.
void note_dropout(Fields& fields, HfConfig& config, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const double rate = fields.number(name, 0, 1, 0);
    if (rate > 0)
      config.notes.push_back(
          fmt::format("{}: {} = {} is not taken over: model.dropout is 0 unless it is set", fields.path(), name, rate));
  }
}

void read_gpt2(Fields& fields, HfConfig& config) {
  ModelSettings& m = config.model;
  m.layers = fields.whole("n_layer", most_layers);
  m.hidden = fields.whole("n_embd", widest);
  m.heads = fields.whole("n_head", most_heads);
  m.mlp_hidden = fields.whole("n_inner", widest, 0);
  m.vocabulary = fields.whole("vocab_size", widest);
  m.max_sequence = fields.whole("n_positions", widest);
  m.norm_epsilon = fields.number("layer_norm_epsilon", 1e-12, 0.1, 1e-5);
  m.tied_head = fields.flag("tie_word_embeddings", true);
  fields.text("activation_function", {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}, "gelu_new");
  note_dropout(fields, config, {"resid_pdrop", "embd_pdrop", "attn_pdrop"});
}

// Wavelengths, from rope_theta and rope_scaling (transformers 4) or from rope_parameters (5).
void read_rotary(Fields& fields, ModelSettings& m) {
  const Json* scaling = fields.take("rope_scaling");
  const Json* parameters = fields.take("rope_parameters");
  const char* name = parameters != nullptr ? "rope_parameters" : "rope_scaling";
  if (scaling != nullptr && parameters != nullptr)
    fields.refuse("rope_scaling", "not beside rope_parameters, which say the same");
  m.rope_theta = fields.number("rope_theta", 1, 1e12, 10000);
  const bool theta_given = fields.take("rope_theta") != nullptr;
  const Json* given = parameters != nullptr ? parameters : scaling;
  if (given == nullptr) return;
  if (!given->is_object()) fields.refuse(name, "an object is needed");
  Fields rope(fields.path(), std::string(name) + ".", *given);
  if (rope.take("rope_theta") != nullptr) {
    const double theta = rope.number("rope_theta", 1, 1e12, {});
    if (theta_given && theta != m.rope_theta)
      fields.refuse("rope_theta", fmt::format("{}.rope_theta says {}", name, theta));
    m.rope_theta = theta;
  }
  const std::string old_name = rope.text("type", {"default", "llama3"}, "default");
  const std::string type = rope.text("rope_type", {"default", "llama3"}, old_name);
  if (rope.take("type") != nullptr && type != old_name) rope.refuse("type", "rope_type says otherwise");
  if (const Json* share = rope.take("partial_rotary_factor"); share != nullptr && *share != 1)
    rope.refuse("partial_rotary_factor", "1 is what can be computed here");
  if (type == "llama3") {
    m.rope_scaling = type;
    m.rope_factor = rope.number("factor", 1, 1e6, {});
    m.rope_low_frequency = rope.number("low_freq_factor", 1e-6, 1e6, {});
    m.rope_high_frequency = rope.number("high_freq_factor", 1e-6, 1e6, {});
    m.rope_original_sequence = rope.whole("original_max_position_embeddings", 1 << 30);
  }
  rope.refuse_unknown();
}

// Keys only of the last few tokens: refused where any layer would do it.
void refuse_windows(Fields& fields, std::int64_t layers) {
  const bool used = fields.flag("use_sliding_window", false);
  const bool given = fields.take("sliding_window") != nullptr;
  const std::int64_t first = fields.whole("max_window_layers", 1 << 30, 28, 0);
  if (used && given && first < layers) fields.refuse("use_sliding_window", "only full attention can be computed here");
  const Json* types = fields.take("layer_types");
  if (types == nullptr) return;
  if (!types->is_array() || static_cast<std::int64_t>(types->size()) != layers)
    fields.refuse("layer_types", fmt::format("a list of {} is needed, one a layer", layers));
  for (const Json& type : *types)
    if (type != "full_attention" && type != "attention")
      throw UsageError(
          fmt::format("{}: layer_types has {}: only full_attention can be computed here", fields.path(), shown(type)));
}

void read_rotary_model(Fields& fields, HfConfig& config) {
  ModelSettings& m = config.model;
  m.layers = fields.whole("num_hidden_layers", most_layers);
  m.hidden = fields.whole("hidden_size", widest);
  m.heads = fields.whole("num_attention_heads", most_heads);
  m.mlp_hidden = fields.whole("intermediate_size", widest);
  m.vocabulary = fields.whole("vocab_size", widest);
  m.max_sequence = fields.whole("max_position_embeddings", widest);
  m.norm_epsilon = fields.number("rms_norm_eps", 1e-12, 0.1, 1e-6);
  m.tied_head = fields.flag("tie_word_embeddings", false);
  m.norm = "rms";
  m.activation = "swiglu";
  m.positions = "rotary";
  fields.text("hidden_act", {"silu", "swish"}, "silu");
  read_rotary(fields, m);
  note_dropout(fields, config, {"attention_dropout"});
}

void read_llama(Fields& fields, HfConfig& config) {
  read_rotary_model(fields, config);
  ModelSettings& m = config.model;
  m.kv_heads = fields.whole("num_key_value_heads", most_heads, m.heads);
  m.head_dim = fields.whole("head_dim", most_heads, 0);
  m.qkv_bias = m.out_bias = fields.flag("attention_bias", false);
  m.mlp_bias = fields.flag("mlp_bias", false);
}

void read_qwen2(Fields& fields, HfConfig& config) {
  read_rotary_model(fields, config);
  ModelSettings& m = config.model;
  m.kv_heads = fields.whole("num_key_value_heads", most_heads);
  m.head_dim = fields.whole("head_dim", most_heads, 0);
  m.qkv_bias = true;
  m.out_bias = m.mlp_bias = false;
  refuse_windows(fields, m.layers);
}

void read_qwen3(Fields& fields, HfConfig& config) {
  read_rotary_model(fields, config);
  ModelSettings& m = config.model;
  m.kv_heads = fields.whole("num_key_value_heads", most_heads);
  m.head_dim = fields.whole("head_dim", most_heads, 128);
  m.qkv_bias = m.out_bias = fields.flag("attention_bias", false);
  m.mlp_bias = false;
  m.qk_norm = true;
  refuse_windows(fields, m.layers);
}

constexpr Architecture architectures[] = {{"GPT2LMHeadModel", "gpt2", read_gpt2},
                                          {"LlamaForCausalLM", "llama", read_llama},
                                          {"Qwen2ForCausalLM", "qwen2", read_qwen2},
                                          {"Qwen3ForCausalLM", "qwen3", read_qwen3}};

std::string known_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& known : architectures) names.push_back(known.name);
  return fmt::format("{} can be read", fmt::join(names, ", "));
}

const Architecture& architecture_of(Fields& fields) {
  const Json* list = fields.take("architectures");
  const Json* one = list != nullptr && list->is_array() && list->size() == 1 ? &list->front() : nullptr;
  for (const Architecture& known : architectures) {
    if (one == nullptr || *one != known.name) continue;
    if (const Json* type = fields.take("model_type"); type == nullptr || *type != known.model_type)
      fields.refuse("model_type", fmt::format("\"{}\" belongs to {}", known.model_type, known.name));
    return known;
  }
  if (one != nullptr)
    throw UsageError(fmt::format("{}: architectures = [{}]: {}", fields.path(), shown(*one), known_architectures()));
  fields.refuse("architectures", "a list of one is needed; " + known_architectures());
}

}  // namespace

HfConfig read_hf_config(const std::filesystem::path& folder) {
  const std::string path = (folder / "config.json").string();
  const Json json = read_hf_json(path, largest_config_bytes);
  Fields fields(path, "", json);
  HfConfig config;
  const Architecture& architecture = architecture_of(fields);
  config.architecture = architecture.name;
  config.model.block_order = "attention-first";
  config.model.head_bias = false;
  config.model.initial_deviation = fields.number("initializer_range", 0, 10, 0.02);
  fields.require_only();
  architecture.read(fields, config);
  fields.pass_over(without_effect);
  fields.refuse_unknown();
  try {
    (void)resolved(config.model);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", path, error.what()));
  }
  return config;
}

}  // namespace stepscope
