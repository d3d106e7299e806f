// logits_chunks: the head, the loss and their gradients go over the rows of a micro-step in so many chunks, one after the other, so
// that logits and their gradient exist for one chunk at a time. Off: 1, whole.
// "auto", beside a byte budget of checkpointing: as many as make the step that fits fastest.
// Source: Wijmans et al. 2024, arXiv:2411.09009, section 3 (the cost of whole logits); Hsu et al. 2024, arXiv:2410.10989 (chunks).
#pragma once

#include "model/techniques/list.h"

namespace stepscope {

extern const Technique logits_chunks_technique;

}  // namespace stepscope
