#include "model/techniques/checkpointing_budget.h"

#include <algorithm>
#include <limits>
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

// Of ways from one cut those that need less slack than every one that repeats as little, by slack.
std::vector<Way> best_of(std::vector<Way> ways) {
  std::ranges::sort(ways, {}, [](const Way& way) { return std::pair(way.slack_bytes, way.repeated_ns); });
  std::vector<Way> best;
  for (const Way& way : ways)
    if (best.empty() || cheaper(way, best.back())) best.push_back(way);
  return best;
}

// Calls use(way) for every segment that begins with this element and every way from its end.
template <class Use>
void each_way(const CheckpointingChain& chain, const std::vector<std::vector<Way>>& ways, std::size_t element,
              const Use& use) {
  for (const Segment& segment : chain.segments(static_cast<int>(element))) {
    const std::vector<Way>& rest = ways[element + static_cast<std::size_t>(segment.elements)];
    for (std::size_t r = 0; r < rest.size(); ++r)
      use(Way{std::max(segment.largest_bytes, segment.kept_bytes + rest[r].slack_bytes),
              segment.repeated_ns + rest[r].repeated_ns, &segment, r});
  }
}

// Where there are very many: of those whose slack is nearly the same the one that repeats least.
std::vector<Way> thinned(const CheckpointingChain& chain, const std::vector<std::vector<Way>>& ways,
                         std::size_t element) {
  constexpr std::size_t most = 1000;
  std::int64_t least = std::numeric_limits<std::int64_t>::max(), largest = 0;
  each_way(chain, ways, element, [&](const Way& way) {
    least = std::min(least, way.slack_bytes), largest = std::max(largest, way.slack_bytes);
  });
  std::vector<Way> best(most);
  const std::int64_t width = (largest - least) / static_cast<std::int64_t>(most) + 1;
  each_way(chain, ways, element, [&](const Way& way) {
    Way& here = best[static_cast<std::size_t>((way.slack_bytes - least) / width)];
    if (here.segment == nullptr || cheaper(way, here) || (!cheaper(here, way) && way.slack_bytes < here.slack_bytes))
      here = way;
  });
  std::erase_if(best, [](const Way& way) { return way.segment == nullptr; });
  return best;
}

// From every cut every way that is best for some slack. What must hold at a segment, kept so far + its largest bytes <= limit, is a
// statement on slack alone, so that one pass from the end serves every limit.
std::vector<std::vector<Way>> ways_of(const CheckpointingChain& chain) {
  constexpr std::size_t few = 100'000;  // more than any cut of two blocks has
  const auto count = static_cast<std::size_t>(chain.size());
  std::vector<std::vector<Way>> ways(count + 1);
  ways[count] = {Way{}};
  for (std::size_t e = count; e-- > 0;) {
    std::size_t found = 0;
    each_way(chain, ways, e, [&](const Way&) { ++found; });
    std::vector<Way> all;
    if (found > few) {
      all = thinned(chain, ways, e);
    } else {
      all.reserve(found);
      each_way(chain, ways, e, [&](const Way& way) { all.push_back(way); });
    }
    ways[e] = best_of(std::move(all));
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
