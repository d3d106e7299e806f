#include "model/training/hf_names.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/base/error.h"

namespace stepscope {

namespace {

struct Name {
  std::string_view ours, theirs;
};

// Inside a block, less ".weight" and ".bias"; our "scale" is their "weight".
constexpr Name gpt2_names[] = {{"attention.norm", "ln_1"},       {"attention.qkv", "attn.c_attn"},
                               {"attention.out", "attn.c_proj"}, {"mlp.norm", "ln_2"},
                               {"mlp.up", "mlp.c_fc"},           {"mlp.down", "mlp.c_proj"}};
constexpr Name rotary_names[] = {{"attention.norm", "input_layernorm"},
                                 {"attention.out", "self_attn.o_proj"},
                                 {"attention.q_norm", "self_attn.q_norm"},
                                 {"attention.k_norm", "self_attn.k_norm"},
                                 {"mlp.norm", "post_attention_layernorm"},
                                 {"mlp.gate", "mlp.gate_proj"},
                                 {"mlp.up", "mlp.up_proj"},
                                 {"mlp.down", "mlp.down_proj"}};

bool is_gpt2(const ModelSettings& model) { return model.positions == "learned"; }

[[noreturn]] void refuse_name(std::string_view parameter) {
  throw UsageError(fmt::format("{}: no architecture of Hugging Face that is known here has this parameter", parameter));
}

struct Extents {
  std::int64_t rows = 1, features = 0;
};

// Of a parameter of a block, by what it is.
Extents extents_of(std::string_view layer, bool is_matrix, const ModelSettings& m) {
  const auto matrix = [&](std::int64_t in, std::int64_t out) { return Extents{is_matrix ? in : 1, out}; };
  if (layer == "attention.qkv") return matrix(m.hidden, (m.heads + 2 * m.kv_heads) * m.head_dim);
  if (layer == "attention.out") return matrix(m.heads * m.head_dim, m.hidden);
  if (layer == "mlp.up" || layer == "mlp.gate") return matrix(m.hidden, m.mlp_hidden);
  if (layer == "mlp.down") return matrix(m.mlp_hidden, m.hidden);
  if (layer == "attention.q_norm" || layer == "attention.k_norm") return {1, m.head_dim};
  return {1, m.hidden};
}

HfPiece piece_of(std::string tensor, const Extents& theirs, bool transposed, bool is_matrix) {
  HfPiece piece{.tensor = std::move(tensor),
                .shape = {theirs.features},
                .transposed = transposed && is_matrix,
                .rows = theirs.rows,
                .our_width = theirs.features,
                .runs = {{0, 0, theirs.features}}};
  if (is_matrix)
    piece.shape = piece.transposed ? Shape{theirs.features, theirs.rows} : Shape{theirs.rows, theirs.features};
  return piece;
}

// Where query head h lies in a packed row, and the key and the value of its group behind the group's queries.
struct Packing {
  std::int64_t group, group_width, head_dim;
  explicit Packing(const ModelSettings& m)
      : group(m.heads / m.kv_heads), group_width((group + 2) * m.head_dim), head_dim(m.head_dim) {}
  [[nodiscard]] std::int64_t query(std::int64_t h) const { return h / group * group_width + h % group * head_dim; }
  [[nodiscard]] std::int64_t key(std::int64_t h) const { return h * group_width + group * head_dim; }
  [[nodiscard]] std::int64_t value(std::int64_t h) const { return key(h) + head_dim; }
};

std::vector<HfPiece> packed_pieces(const std::string& prefix, const std::string& kind, bool is_matrix,
                                   const ModelSettings& m) {
  const Packing packing(m);
  const std::int64_t d = m.head_dim, packed = (m.heads + 2 * m.kv_heads) * d, rows = is_matrix ? m.hidden : 1;
  std::vector<HfPiece::Run> queries, keys, values;
  for (std::int64_t h = 0; h < m.heads; ++h) queries.push_back({packing.query(h), h * d, d});
  for (std::int64_t h = 0; h < m.kv_heads; ++h) {
    keys.push_back({packing.key(h), h * d, d});
    values.push_back({packing.value(h), h * d, d});
  }
  if (is_gpt2(m)) {  // one tensor: all queries, all keys, all values
    HfPiece whole = piece_of(prefix + "attn.c_attn." + kind, {rows, packed}, false, is_matrix);
    whole.runs = queries;
    for (HfPiece::Run run : keys) whole.runs.push_back({run.ours, run.theirs + m.heads * d, d});
    for (HfPiece::Run run : values) whole.runs.push_back({run.ours, run.theirs + 2 * m.heads * d, d});
    return {whole};
  }
  std::vector<HfPiece> pieces;
  for (const auto& [part, runs] : {std::pair("q_proj.", &queries), {"k_proj.", &keys}, {"v_proj.", &values}}) {
    HfPiece piece = piece_of(prefix + "self_attn." + part + kind, {rows, static_cast<std::int64_t>(runs->size()) * d},
                             true, is_matrix);
    piece.our_width = packed;
    piece.runs = *runs;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

// `rest`: "attention.qkv.weight".
std::vector<HfPiece> block_pieces(const std::string& prefix, std::string_view rest, const ModelSettings& m) {
  const std::size_t dot = rest.rfind('.');
  const std::string_view layer = rest.substr(0, dot), kind = rest.substr(dot + 1);
  const bool is_matrix = kind == "weight";
  const std::string their_kind = kind == "bias" ? "bias" : "weight";
  if (layer == "attention.qkv") return packed_pieces(prefix, their_kind, is_matrix, m);
  const std::span<const Name> names =
      is_gpt2(m) ? std::span<const Name>(gpt2_names) : std::span<const Name>(rotary_names);
  const auto name = std::find_if(names.begin(), names.end(), [&](const Name& known) { return known.ours == layer; });
  if (name == names.end()) refuse_name(rest);
  return {piece_of(fmt::format("{}{}.{}", prefix, name->theirs, their_kind), extents_of(layer, is_matrix, m),
                   !is_gpt2(m), is_matrix)};
}

// Transposed ones in strips of rows, so that a line of either side is used up while it is in the cache.
template <class F>
void for_each_element(const HfPiece& piece, F&& f) {
  constexpr std::int64_t strip = 16;
  const auto visit = [&](const HfPiece::Run& run, std::int64_t row, std::int64_t feature) {
    const std::int64_t there = run.theirs + feature;
    const std::int64_t theirs = piece.transposed ? there * piece.rows + row : row * piece.shape.last() + there;
    f(static_cast<std::size_t>(row * piece.our_width + run.ours + feature), static_cast<std::size_t>(theirs));
  };
  for (const HfPiece::Run& run : piece.runs)
    for (std::int64_t first = 0; first < piece.rows; first += strip) {
      const std::int64_t end = std::min(piece.rows, first + strip);
      if (piece.transposed) {
        for (std::int64_t feature = 0; feature < run.count; ++feature)
          for (std::int64_t row = first; row < end; ++row) visit(run, row, feature);
      } else {
        for (std::int64_t row = first; row < end; ++row)
          for (std::int64_t feature = 0; feature < run.count; ++feature) visit(run, row, feature);
      }
    }
}

}  // namespace

void HfPiece::copy_in(std::span<const float> theirs, std::span<float> ours) const {
  for_each_element(*this, [&](std::size_t to, std::size_t from) { ours[to] = theirs[from]; });
}

void HfPiece::copy_out(std::span<const float> ours, std::span<float> theirs) const {
  for_each_element(*this, [&](std::size_t from, std::size_t to) { theirs[to] = ours[from]; });
}

std::vector<HfPiece> hf_pieces_of(std::string_view parameter, const ModelSettings& m) {
  const bool gpt2 = is_gpt2(m);
  const std::string prefix(hf_prefix_of(m));
  if (parameter == "embedding")
    return {piece_of(prefix + (gpt2 ? "wte.weight" : "embed_tokens.weight"), {m.vocabulary, m.hidden}, false, true)};
  if (parameter == "positions") return {piece_of(prefix + "wpe.weight", {m.max_sequence, m.hidden}, false, true)};
  if (parameter == "head.weight") return {piece_of("lm_head.weight", {m.hidden, m.vocabulary}, true, true)};
  if (parameter == "final_norm.scale" || parameter == "final_norm.bias")
    return {piece_of(prefix + (gpt2 ? "ln_f." : "norm.") + (parameter.ends_with("bias") ? "bias" : "weight"),
                     {1, m.hidden}, false, false)};
  const std::string_view inside = parameter.substr(parameter.find('.') + 1);  // "0.attention.qkv.weight"
  const std::size_t dot = inside.find('.');
  if (!parameter.starts_with("blocks.") || dot == std::string_view::npos) refuse_name(parameter);
  return block_pieces(fmt::format("{}{}{}.", prefix, gpt2 ? "h." : "layers.", inside.substr(0, dot)),
                      inside.substr(dot + 1), m);
}

bool is_hf_constant(std::string_view tensor, const ModelSettings& model) {
  if (!is_gpt2(model)) return tensor.ends_with(".rotary_emb.inv_freq");
  return tensor.ends_with(".attn.bias") || tensor.ends_with(".attn.masked_bias");
}

std::string_view hf_prefix_of(const ModelSettings& model) { return is_gpt2(model) ? "transformer." : "model."; }

}  // namespace stepscope
