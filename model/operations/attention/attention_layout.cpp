#include "model/operations/attention/attention_layout.h"

#include "model/base/error.h"

namespace stepscope {

HeadLayout head_layout(const Operation& op, int first) {
  const auto view = [&](int i) -> const View& { return op.ins[static_cast<std::size_t>(first + i)].view; };
  const View &q = view(0), &k = view(1);
  for (int i = 0; i < 3; ++i)
    if (view(i).strides != q.strides || view(i).strides[3] != 1)
      throw ProgramError("V2", "attention: q, k, v do not lie alike");
  return {.batch = q.shape[0],
          .sequence = q.shape[1],
          .heads = op.attributes.heads,
          .head_dim = k.shape[3],
          .kv_heads = k.shape[2],
          .queries = q.shape[3] / k.shape[3],
          .batch_stride = q.strides[0],
          .row_stride = q.strides[1],
          .group_stride = q.strides[2],
          .q_offset = view(0).offset,
          .k_offset = view(1).offset,
          .v_offset = view(2).offset,
          .causal = op.attributes.mask.causal};
}

MaskReader::MaskReader(const CpuBinding& binding, const HeadLayout& layout, int next)
    : sequence_(layout.sequence), causal_(layout.causal) {
  const MaskKinds& kinds = binding.operation->attributes.mask;
  if (kinds.padding) {
    lengths_ = binding.in<const std::int32_t>(next);
    lengths_micro_stride_ = binding.in_view(next++).micro_stride;
  }
  if (!kinds.custom) return;
  const View& view = binding.in_view(next);
  custom_ = binding.in<const std::uint8_t>(next);
  custom_micro_stride_ = view.micro_stride;
  custom_batch_stride_ = view.shape[0] == 1 ? 0 : view.strides[0];
  custom_head_stride_ = view.shape[1] == 1 ? 0 : view.strides[1];
  custom_row_stride_ = view.strides[2];
}

VisibleKeys MaskReader::keys(std::int64_t b, std::int64_t head, std::int64_t row, std::int64_t micro_step) const {
  VisibleKeys keys{.count = causal_ ? row + 1 : sequence_};
  if (lengths_ != nullptr) {
    const std::int64_t length = lengths_[micro_step * lengths_micro_stride_ + b];
    keys.count = std::clamp<std::int64_t>(length, 0, keys.count);
  }
  if (custom_ != nullptr)
    keys.custom = custom_ + micro_step * custom_micro_stride_ + b * custom_batch_stride_ + head * custom_head_stride_ +
                  row * custom_row_stride_;
  return keys;
}

}  // namespace stepscope
