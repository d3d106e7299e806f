// The transformer: embedding and positions, blocks, final norm, a head of its own or the embedding's, cross-entropy.
//     Builder b(DType::fp32);
//     b.set_batch(64, 512, 4);                                                // a forward pass has 16 of the 64 rows
//     const Program forward = build_transformer(std::move(b), settings);
// Legend: B rows of a forward pass, S sequence, H hidden, V vocabulary, M mlp_hidden, D head_dim.
#pragma once

#include "model/layers/model_settings.h"
#include "model/program/builder.h"

namespace stepscope {

// Settings must be resolved. Throws UsageError where the sequence is above max_sequence.
// Batch states: tokens, targets int32 [global_batch, S]; lengths int32 [global_batch] with a padding mask;
// mask u8 [1, 1, S, S] with a custom one, or the shape set by custom_mask_shape.
[[nodiscard]] Program build_transformer(Builder builder, const ModelSettings& settings,
                                        const Shape& custom_mask_shape = {});

}  // namespace stepscope
