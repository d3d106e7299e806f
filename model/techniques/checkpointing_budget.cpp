#include "model/techniques/checkpointing_budget.h"

#include <algorithm>
#include <utility>

#include "model/techniques/checkpointing_chain.h"

namespace stepscope {

namespace {

// From a cut to the end of the chain: with this slack (the limit less what is kept already) it can be done with so much repeating.
struct Way {
  std::int64_t slack_bytes = 0;
  double repeated_ns = 0;
  const Segment* segment = nullptr;  // the next one
  std::size_t rest = 0;  // the way from its end
};

// By more than the order of additions explains.
bool cheaper(const Way& a, const Way& b) { return a.repeated_ns < b.repeated_ns * (1 - 1e-9); }

// Of ways from one cut those that need less slack than every one that repeats as little, by slack; at most about `most` of them.
std::vector<Way> best_of(std::vector<Way> ways, std::size_t most) {
  std::ranges::sort(ways, {}, [](const Way& way) { return std::pair(way.slack_bytes, way.repeated_ns); });
  std::vector<Way> best;
  for (const Way& way : ways)
    if (best.empty() || cheaper(way, best.back())) best.push_back(way);
  if (best.size() <= most) return best;
  const std::int64_t least = best.front().slack_bytes;
  const std::int64_t width = (best.back().slack_bytes - least) / static_cast<std::int64_t>(most) + 1;
  std::vector<Way> thinned;
  for (std::size_t i = 0; i < best.size(); ++i)
    if (i == 0 || i + 1 == best.size() ||
        (best[i].slack_bytes - least) / width != (best[i + 1].slack_bytes - least) / width)
      thinned.push_back(best[i]);
  return thinned;
}

// From every cut every way that is best for some slack. What must hold at a segment, kept so far + its largest bytes <= limit, is a
// statement on slack alone, so that one pass from the end serves every limit.
std::vector<std::vector<Way>> ways_of(const CheckpointingChain& chain) {
  constexpr std::size_t most_ways = 2000;  // more than chains of two blocks have
  const auto count = static_cast<std::size_t>(chain.size());
  std::vector<std::vector<Way>> ways(count + 1);
  ways[count] = {Way{}};
  for (std::size_t e = count; e-- > 0;) {
    std::vector<Way> found;
    for (const Segment& segment : chain.segments(static_cast<int>(e))) {
      const std::vector<Way>& rest = ways[e + static_cast<std::size_t>(segment.elements)];
      for (std::size_t r = 0; r < rest.size(); ++r)
        found.push_back({std::max(segment.largest_bytes, segment.kept_bytes + rest[r].slack_bytes),
                         segment.repeated_ns + rest[r].repeated_ns, &segment, r});
    }
    ways[e] = best_of(std::move(found), most_ways);
  }
  return ways;
}

KeepSet keep_of(const CheckpointingChain& chain, const std::vector<std::vector<Way>>& ways, std::size_t first,
                KeepSet keep) {
  std::size_t element = 0;
  for (const Way* way = &ways[0][first]; way->segment != nullptr;) {
    chain.drop(static_cast<int>(element), *way->segment, keep);
    element += static_cast<std::size_t>(way->segment->elements);
    way = &ways[element][way->rest];
  }
  return keep;
}

}  // namespace

std::vector<FrontierPoint> checkpointing_frontier(const Program& forward, const Program& step,
                                                  const OperationTimes& times, int most_points) {
  const KeepSetCost cost(forward, step, times);
  const CheckpointingChain chain(forward, cost);
  const KeepSet everything = keepable(forward);
  const std::vector<std::vector<Way>> ways = ways_of(chain);
  const std::vector<Way>& all = ways.front();
  const std::int64_t spacing = (all.back().slack_bytes - all.front().slack_bytes) / most_points;
  std::vector<FrontierPoint> points;
  for (std::size_t i = all.size(); i-- > 0;) {
    if (i != 0 && !points.empty() && all[i].slack_bytes + spacing > points.back().largest_sum_bytes) continue;
    KeepSet keep = keep_of(chain, ways, i, everything);
    const KeepSetCost::Cost now = cost.of(keep);
    points.push_back({std::move(keep), now.largest_sum_bytes, now.repeated_ns});
  }
  return points;
}

}  // namespace stepscope
