// The table of fields. A new field is a row here: name, range, one line of help.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/axes.h"
#include "model/training/hf_config.h"
#include "model/training/optimizer.h"

namespace stepscope {

namespace {

using Type = Field::Type;

// A field of one of the settings structs: what it holds is converted from and to a Choice by its type.
template <class Settings, class T>
Field member(std::string section, Settings Configuration::*settings, std::string name, T Settings::*part, Type type,
             std::string help) {
  Field field{.section = std::move(section), .name = std::move(name), .type = type, .help = std::move(help)};
  field.get = [settings, part](const Configuration& c) -> Choice {
    const T& held = (c.*settings).*part;
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      return static_cast<std::int64_t>(held);
    } else {
      return held;
    }
  };
  field.set = [settings, part](Configuration& c, const Choice& choice) {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      (c.*settings).*part = static_cast<T>(std::get<std::int64_t>(choice));
    } else {
      (c.*settings).*part = std::get<T>(choice);
    }
  };
  return field;
}

template <class Settings, class T>
Field whole(std::string section, Settings Configuration::*settings, std::string name, T Settings::*part,
            std::int64_t least, std::int64_t most, std::string help) {
  Field field = member(std::move(section), settings, std::move(name), part, Type::whole, std::move(help));
  field.least = static_cast<double>(least);
  field.most = static_cast<double>(most);
  field.right = fmt::format("a whole number from {} to {}", least, most);
  return field;
}

template <class Settings>
Field number(std::string section, Settings Configuration::*settings, std::string name, double Settings::*part,
             double least, double most, std::string help) {
  Field field = member(std::move(section), settings, std::move(name), part, Type::number, std::move(help));
  field.least = least;
  field.most = most;
  field.right = fmt::format("a number from {} to {}", least, most);
  return field;
}

std::string must_be(const std::vector<std::string>& allowed) {
  return fmt::format("must be {}{}", allowed.size() > 1 ? "one of " : "", fmt::join(allowed, ", "));
}

template <class Settings>
Field flag(std::string section, Settings Configuration::*settings, std::string name, bool Settings::*part,
           std::string help) {
  Field field = member(std::move(section), settings, std::move(name), part, Type::flag, std::move(help));
  field.right = "true or false";
  return field;
}

template <class Settings>
Field text(std::string section, Settings Configuration::*settings, std::string name, std::string Settings::*part,
           std::vector<std::string> allowed, std::string help) {
  Field field = member(std::move(section), settings, std::move(name), part, Type::text, std::move(help));
  field.right = must_be(allowed);
  field.allowed = std::move(allowed);
  return field;
}

void apply_preset(Configuration& configuration, const Choice& choice) {
  configuration.preset = std::get<std::string>(choice);
  if (configuration.preset.empty()) return;
  const Preset& preset = preset_named(configuration.preset);
  configuration.model = preset.model;
  configuration.training.global_batch = preset.global_batch;
  configuration.training.sequence = preset.sequence;
  configuration.training.schedule = std::string(preset.schedule);
  configuration.training.learning_rate = preset.learning_rate;
  configuration.training.learning_rate_warmup = preset.learning_rate_warmup;
  configuration.training.optimizer = std::string(preset.optimizer);
  configuration.training.beta2 = preset.beta2;
  configuration.training.clip = preset.clip;
}

Field preset_field() {
  Field field{.section = "model", .name = "preset", .type = Type::text, .help = "what the other fields start from"};
  for (const Preset& preset : presets()) field.allowed.emplace_back(preset.name);
  field.right = must_be(field.allowed);
  field.get = [](const Configuration& c) -> Choice { return c.preset; };
  field.set = apply_preset;
  return field;
}

// What a folder does not say: trained on as the presets are, at the learning rate that transformers' Trainer has where none is given.
void apply_hf(Configuration& configuration, const Choice& choice) {
  constexpr std::int64_t usual_sequence = 1024;  // many models can take rows far longer than a first look needs
  configuration.hf = std::get<std::string>(choice);
  if (configuration.hf.empty()) return;
  configuration.model = read_hf_config(configuration.hf).model;
  TrainingSettings& training = configuration.training;
  training.global_batch = 8;
  training.sequence = std::min(configuration.model.max_sequence, usual_sequence);
  training.schedule = "cosine";
  training.learning_rate = 5e-5;
  training.learning_rate_warmup = 100;
  training.optimizer = "adamw";
  training.beta2 = 0.95;
  training.clip = 1;
}

Field hf_field() {
  Field field{.section = "model", .name = "hf", .type = Type::text, .right = "a Hugging Face folder"};
  field.help = "instead of a preset: a Hugging Face folder, config.json and weights; its dropout is left out";
  field.get = [](const Configuration& c) -> Choice { return c.hf; };
  field.set = apply_hf;
  return field;
}

Field derived(Field field) {
  field.derived = true;
  return field;
}

// What tells one family of transformers from another.
void add_architecture_fields(std::vector<Field>& table) {
  constexpr auto model = &Configuration::model;
  using M = ModelSettings;
  table.push_back(text("model", model, "norm", &M::norm, {"layer", "rms"}, "of every block's input and the last"));
  table.push_back(text("model", model, "activation", &M::activation, {"gelu", "swiglu"},
                       "inside the MLP; swiglu has a second matrix, the gate"));
  table.push_back(
      text("model", model, "positions", &M::positions, {"learned", "rotary"}, "how tokens know their place"));
  table.push_back(number("model", model, "rope_theta", &M::rope_theta, 1, 1e12, "base of the rotary wavelengths"));
  table.push_back(text("model", model, "rope_scaling", &M::rope_scaling, {"none", "llama3"},
                       "whether long rotary wavelengths are stretched, by the four fields that follow"));
  table.push_back(number("model", model, "rope_factor", &M::rope_factor, 1, 1e6, "how far they are stretched"));
  table.push_back(number("model", model, "rope_low_frequency", &M::rope_low_frequency, 1e-6, 1e6,
                         "turns in rope_original_sequence below which a wavelength is stretched whole"));
  table.push_back(number("model", model, "rope_high_frequency", &M::rope_high_frequency, 1e-6, 1e6,
                         "turns above which it is left as it is"));
  table.push_back(whole("model", model, "rope_original_sequence", &M::rope_original_sequence, 1, 1 << 30,
                        "tokens of a row before the stretching"));
  table.push_back(flag("model", model, "qkv_bias", &M::qkv_bias, "whether queries, keys and values have a bias"));
  table.push_back(flag("model", model, "out_bias", &M::out_bias, "whether the attention's last Dense has one"));
  table.push_back(flag("model", model, "mlp_bias", &M::mlp_bias, "whether the Denses of the MLP have one"));
  table.push_back(flag("model", model, "qk_norm", &M::qk_norm, "an rms norm over each query and key"));
}

void add_model_fields(std::vector<Field>& table) {
  constexpr auto model = &Configuration::model;
  using M = ModelSettings;
  constexpr std::int64_t wide = 1 << 20;
  table.push_back(whole("model", model, "layers", &M::layers, 1, 1024, "transformer blocks"));
  table.push_back(whole("model", model, "hidden", &M::hidden, 1, wide, "width of the residual stream"));
  table.push_back(whole("model", model, "heads", &M::heads, 1, 4096, "attention heads"));
  table.push_back(derived(whole("model", model, "kv_heads", &M::kv_heads, 1, 4096,
                                "heads of keys and values, a divisor of heads; default: heads")));
  table.push_back(
      derived(whole("model", model, "head_dim", &M::head_dim, 1, 4096, "width of a head; default: hidden / heads")));
  table.push_back(
      derived(whole("model", model, "mlp_hidden", &M::mlp_hidden, 1, wide, "width inside the MLP; default: 4 hidden")));
  table.push_back(whole("model", model, "vocabulary", &M::vocabulary, 1, wide, "different tokens"));
  table.push_back(whole("model", model, "max_sequence", &M::max_sequence, 1, wide, "longest row of tokens"));
  table.push_back(
      number("model", model, "dropout", &M::dropout, 0, 0.99, "share of elements dropped after each block"));
  table.push_back(
      text("model", model, "attention", &M::attention, {"fused", "materialised"}, "how scores are computed"));
  table.push_back(text("model", model, "softmax_precision", &M::softmax_precision, {"fp32", "bf16"},
                       "what attention's probabilities are rounded to"));
  table.push_back(text("model", model, "block_order", &M::block_order, {"mlp-first", "attention-first"},
                       "which half of a block comes first"));
  table.push_back(
      flag("model", model, "tied_head", &M::tied_head, "logits from the embedding: one parameter for both"));
  table.push_back(flag("model", model, "head_bias", &M::head_bias, "whether the head adds a bias"));
  table.push_back(
      number("model", model, "norm_epsilon", &M::norm_epsilon, 1e-12, 0.1, "added to each norm's variance"));
  table.push_back(number("model", model, "initial_deviation", &M::initial_deviation, 0, 10,
                         "of initial weights and embeddings; 0: by width"));
  add_architecture_fields(table);
  Field mask = member("model", model, "mask", &M::mask, Type::list, "what hides keys; masks combine by and");
  mask.right = "a list of \"causal\", \"padding\", \"custom:FILE\"";
  table.push_back(std::move(mask));
}

Field optimizer_field() {
  std::vector<std::string> names;
  std::string help = "what updates the parameters";
  for (const Optimizer& row : optimizers()) {
    names.emplace_back(row.name);
    help += fmt::format("; {}: {}", row.name, row.about);
  }
  return text("training", &Configuration::training, "optimizer", &TrainingSettings::optimizer, std::move(names), help);
}

void add_data_and_training_fields(std::vector<Field>& table) {
  constexpr auto data = &Configuration::data;
  constexpr auto training = &Configuration::training;
  using D = DataSettings;
  using T = TrainingSettings;
  constexpr std::int64_t many = 1'000'000'000;
  Field source = text("data", data, "source", &D::source, {},
                      "where tokens come from: synthetic, text:PATH, or tokens:FILE of nanoGPT or llm.c");
  source.names_path = true;
  source.right = "\"synthetic\", \"text:PATH\" or \"tokens:FILE\"";
  table.push_back(std::move(source));
  table.push_back(
      text("data", data, "rows", &D::rows, {"stream", "lines"}, "a row: the next tokens, or one line, padded"));
  Field tokenizer =
      text("data", data, "tokenizer", &D::tokenizer, {},
           "tokens of a text: bytes, or gpt2:FOLDER with encoder.json and vocab.bpe (vocab.json and merges.txt)");
  tokenizer.names_path = true;
  tokenizer.right = "\"bytes\" or \"gpt2:FOLDER\"";
  table.push_back(std::move(tokenizer));
  table.push_back(
      whole("training", training, "global_batch", &T::global_batch, 1, 1 << 20, "rows of an optimizer step"));
  table.push_back(whole("training", training, "sequence", &T::sequence, 1, 1 << 20,
                        "tokens of a row; default: the preset's, or max_sequence"));
  table.push_back(optimizer_field());
  table.push_back(number("training", training, "beta1", &T::beta1, 0, 0.999999, "of the optimizer's mean gradient"));
  table.push_back(number("training", training, "beta2", &T::beta2, 0, 0.999999, "of its mean squared gradient"));
  table.push_back(
      number("training", training, "weight_decay", &T::weight_decay, 0, 10, "of adamw, times the learning rate"));
  table.push_back(
      text("training", training, "schedule", &T::schedule, {"seed", "cosine", "constant"}, "learning rate over steps"));
  table.push_back(
      number("training", training, "learning_rate", &T::learning_rate, 1e-9, 100, "the highest of the schedule"));
  table.push_back(
      whole("training", training, "learning_rate_warmup", &T::learning_rate_warmup, 0, many, "steps of warm-up"));
  table.push_back(
      whole("training", training, "steps", &T::steps, 0, many, "length of the schedule; 0: as long as it runs"));
  table.push_back(number("training", training, "clip", &T::clip, 0, 1e9, "largest gradient norm; 0: no clipping"));
  table.push_back(whole("training", training, "seed", &T::seed, 0, std::int64_t{1} << 53,
                        "of initial weights, dropout and data order"));
}

void add_loss_scaling_fields(std::vector<Field>& table) {
  constexpr auto training = &Configuration::training;
  using T = TrainingSettings;
  const auto scales = [](const Configuration& c) { return recipe_of(c).scales_loss; };
  Field scale =
      number("training", training, "loss_scale", &T::loss_scale, 1, 0x1p64,
             "of precision fp16 in the first step: what the loss's gradient is multiplied by; halved in a step "
             "that overflows");
  scale.right = "a power of two from 1 to 2^64";
  scale.applies = scales;
  table.push_back(std::move(scale));
  Field interval = whole("training", training, "loss_scale_growth_interval", &T::loss_scale_growth_interval, 1,
                         1'000'000'000, "of precision fp16: steps without an overflow after which the scale doubles");
  interval.applies = scales;
  table.push_back(std::move(interval));
}

// A technique's value is checked by its own apply, on a recipe that is thrown away.
Field technique_field(const Technique& technique) {
  const std::string name(technique.name);
  Field field{.section = "techniques", .name = name, .type = Type::choice, .right = std::string(technique.values)};
  field.help = fmt::format("{}; off: {}", technique.values, to_string(technique.off));
  field.get = [name, off = technique.off](const Configuration& c) {
    const auto found = c.techniques.find(name);
    return found == c.techniques.end() ? off : found->second;
  };
  field.set = [name](Configuration& c, const Choice& choice) { c.techniques[name] = choice; };
  if (technique.unseen_when_off)
    field.applies = [get = field.get, off = technique.off](const Configuration& c) { return get(c) != off; };
  return field;
}

void add_measure_fields(std::vector<Field>& table) {
  constexpr auto measure = &Configuration::measure;
  using M = MeasureSettings;
  constexpr std::int64_t many = 1'000'000;
  table.push_back(
      whole("measure", measure, "rounds", &M::rounds, 1, 1000, "timed visits of each cell, each a process"));
  table.push_back(
      whole("measure", measure, "warmup_steps", &M::warmup_steps, 0, many, "steps of a visit before the timed ones"));
  table.push_back(whole("measure", measure, "timed_steps", &M::timed_steps, 1, many, "timed steps of a visit"));
  table.push_back(
      whole("measure", measure, "profiled_steps", &M::profiled_steps, 0, many, "steps of the profiled visit; 0: none"));
  table.push_back(
      whole("measure", measure, "learning_steps", &M::learning_steps, 0, many, "steps of learning visits; 0: none"));
  table.push_back(
      whole("measure", measure, "timeout_seconds", &M::timeout_seconds, 1, many, "longest wait for a sign of life"));
}

std::vector<Field> make_fields() {
  std::vector<Field> table;
  table.push_back(preset_field());  // first: the others are set over it
  table.push_back(hf_field());
  add_model_fields(table);
  add_data_and_training_fields(table);
  add_loss_scaling_fields(table);
  for (const Technique& technique : techniques()) table.push_back(technique_field(technique));
  add_measure_fields(table);
  return table;
}

}  // namespace

std::span<const Field> fields() {
  static const std::vector<Field> table = make_fields();
  return table;
}

}  // namespace stepscope
