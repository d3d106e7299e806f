// How the operands of an attention lie in memory, and which keys a query sees: shared by attention and materialised_attention.
//     const HeadLayout layout = head_layout(op, 0);                 // q, k, v are ins 0, 1, 2
//     const T* q = base + layout.q_at(b, head, row);                // head_dim contiguous elements
//     const VisibleKeys keys = mask.keys(b, head, row, micro_step); // of query `row`
// Strides and offsets are in elements.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <mutex>

#include "model/cpu/binding.h"
#include "model/operations/attention/attention_body.h"

namespace stepscope {

inline constexpr std::int64_t query_block = 64;  // rows of scores that a task holds: measured best for D 32 to 128

struct HeadLayout {
  std::int64_t batch = 0, sequence = 0, heads = 0, head_dim = 0;
  std::int64_t kv_heads = 0, queries = 0;  // queries: of each kv head; together heads
  std::int64_t batch_stride = 0, row_stride = 0, group_stride = 0;  // of q, k, v and their gradients
  std::int64_t q_offset = 0, k_offset = 0, v_offset = 0;  // in the packed value
  bool causal = false;
  auto operator<=>(const HeadLayout&) const = default;

  // Of k or v from their own first element.
  [[nodiscard]] constexpr std::int64_t kv_at(std::int64_t b, std::int64_t kv_head, std::int64_t row) const {
    return b * batch_stride + row * row_stride + kv_head * group_stride;
  }
  // Of q from its own first element.
  [[nodiscard]] constexpr std::int64_t q_at(std::int64_t b, std::int64_t head, std::int64_t row) const {
    return kv_at(b, kv_head(head), row) + head % queries * head_dim;
  }
  [[nodiscard]] constexpr std::int64_t kv_head(std::int64_t head) const { return head / queries; }
  // Of o and its gradient [B, S, heads D].
  [[nodiscard]] constexpr std::int64_t out_at(std::int64_t b, std::int64_t head, std::int64_t row) const {
    return ((b * sequence + row) * heads + head) * head_dim;
  }
  [[nodiscard]] constexpr std::int64_t out_stride() const { return heads * head_dim; }
  // Of a row's statistic [B, heads, S].
  [[nodiscard]] constexpr std::int64_t statistic_at(std::int64_t b, std::int64_t head, std::int64_t row) const {
    return (b * heads + head) * sequence + row;
  }
  [[nodiscard]] constexpr std::int64_t blocks() const { return (sequence + query_block - 1) / query_block; }
  [[nodiscard]] constexpr std::int64_t rows(std::int64_t block) const {
    return std::min(query_block, sequence - block * query_block);
  }
  // Keys that some query of the block may see: no more are multiplied.
  [[nodiscard]] constexpr std::int64_t keys(std::int64_t block) const {
    return causal ? std::min(sequence, (block + 1) * query_block) : sequence;
  }
};

// Bytes of a task's slot, asked for once for each layout and pair of types: the matmul library tells them block by block, which takes
// seconds for long rows, and every keep-set that is planned asks again.
template <class Slot>
std::int64_t slot_bytes_of(const HeadLayout& layout) {
  static std::mutex mutex;
  static std::map<HeadLayout, std::int64_t> known;
  const std::lock_guard lock(mutex);
  const auto [found, fresh] = known.try_emplace(layout, 0);
  if (fresh) found->second = Slot(layout).slot_bytes;
  return found->second;
}

[[nodiscard]] HeadLayout head_layout(const Operation& op, int first);  // q, k, v are ins first, first + 1, first + 2

class MaskReader {
 public:
  MaskReader() = default;
  MaskReader(const OperationBinding& binding, const HeadLayout& layout,
             int next);  // lengths and mask, if any, are ins next ...
  [[nodiscard]] STEPSCOPE_BODY VisibleKeys keys(std::int64_t b, std::int64_t head, std::int64_t row,
                                                std::int64_t micro_step) const {
    VisibleKeys keys{.count = causal_ ? row + 1 : sequence_};
    if (lengths_ != nullptr) {
      const std::int64_t length = lengths_[micro_step * lengths_micro_stride_ + b];
      keys.count = max_of<std::int64_t>(0, min_of<std::int64_t>(length, keys.count));
    }
    if (custom_ != nullptr)
      keys.custom = custom_ + micro_step * custom_micro_stride_ + b * custom_batch_stride_ +
                    head * custom_head_stride_ + row * custom_row_stride_;
    return keys;
  }
  [[nodiscard]] STEPSCOPE_BODY bool has_custom() const { return custom_ != nullptr; }

 private:
  std::int64_t sequence_ = 0;
  bool causal_ = false;
  const std::int32_t* lengths_ = nullptr;
  const std::uint8_t* custom_ = nullptr;
  std::int64_t lengths_micro_stride_ = 0, custom_micro_stride_ = 0;
  std::int64_t custom_batch_stride_ = 0, custom_head_stride_ = 0, custom_row_stride_ = 0;
};

// Calls bind<T, M>(): T the type of operands, M the type that is multiplied (fp32 where the machine cannot multiply T).
template <class Bind>
auto dispatch_attention(DType dtype, const Machine& machine, Bind&& bind) {
  switch (dtype) {
    case DType::fp64: return bind.template operator()<double, double>();
    case DType::bf16:
      return machine.native_bf16 ? bind.template operator()<bf16, bf16>() : bind.template operator()<bf16, float>();
    case DType::fp16:
      return machine.native_fp16 ? bind.template operator()<fp16, fp16>() : bind.template operator()<fp16, float>();
    default: return bind.template operator()<float, float>();
  }
}

}  // namespace stepscope
