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

MaskReader::MaskReader(const OperationBinding& binding, const HeadLayout& layout, int next)
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

}  // namespace stepscope
