// The activations to keep under a byte budget: every trade of bytes against repeats that a chain has, and a choice among them.
//     const std::vector<FrontierPoint> points = checkpointing_frontier(forward, step, times);
//     points.front() keeps everything; each further one needs fewer bytes and repeats more.
// Segments of up to two blocks in every combination, joined in one pass that serves every limit: exact on chains of two blocks; on deep
// ones ways whose bytes nearly agree are thinned. Source: dynamic programming over kept cuts, as Feng and Huang 2021, arXiv:1808.00079,
// here with segments that choose inside.
#pragma once

#include <cstdint>
#include <vector>

#include "model/program/keep_set_cost.h"

namespace stepscope {

struct FrontierPoint {
  KeepSet keep;
  std::int64_t largest_sum_bytes = 0;  // that its step has live at once, workspaces included
  double repeated_ns = 0;  // a micro-step
};

// step: the forward pass with backward and update, lowered, that keeps everything; times: its operations'. By bytes, falling; time
// rises. At most about `most_points`: where there are more, limits are evenly spaced.
[[nodiscard]] std::vector<FrontierPoint> checkpointing_frontier(const Program& forward, const Program& step,
                                                                const OperationTimes& times, int most_points = 160);

}  // namespace stepscope
