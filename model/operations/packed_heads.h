// Where heads lie in a row of packed queries, keys and values: kv head by kv head its queries, then its key, then its value.
//     const PackedHeads heads = packed_heads(qkv.view.shape, attributes.heads, attributes.head_dim);
//     const T* query = row + heads.group_at(group) + i * heads.head_dim;           // i < heads.queries; then key, then value
// With as many kv heads as heads each head is [q|k|v].
#pragma once

#include <cstdint>

#include "model/base/body.h"
#include "model/base/dtype.h"

namespace stepscope {

struct PackedHeads {
  std::int64_t kv_heads = 0, queries = 0, head_dim = 0;  // queries: of each kv head
  [[nodiscard]] STEPSCOPE_BODY std::int64_t group_at(std::int64_t group) const {
    return group * (queries + 2) * head_dim;
  }
};

// Of a value [B, S, kv_heads (queries + 2) head_dim]; all zero where its width is not of that form.
[[nodiscard]] constexpr PackedHeads packed_heads(const Shape& qkv, std::int64_t heads, std::int64_t head_dim) {
  if (qkv.rank() != 3 || heads < 1 || head_dim < 1 || qkv[2] % head_dim != 0) return {};
  const std::int64_t keys_and_values = qkv[2] / head_dim - heads;
  if (keys_and_values < 2 || keys_and_values % 2 != 0 || heads % (keys_and_values / 2) != 0) return {};
  return {keys_and_values / 2, heads / (keys_and_values / 2), head_dim};
}

// A head that an operation on queries and keys leaves as it is.
template <class Team, class T>
STEPSCOPE_BODY void copy_head(const Team& team, const T* x, T* y, std::int64_t width) {
  if (x == y) return;
  team.for_each(width, [=](std::int64_t i) { y[i] = x[i]; });
}

}  // namespace stepscope
