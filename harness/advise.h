// The fastest mix of techniques that fits: every value of every technique, timed by a source of times and planned in that order until
// one fits. No measurement, no formula for bytes.
//     Adviser adviser(base, {.machine = machine, .fit = fit, .times = roofline_source(card, "roofline of l4")});
//     const Advice advice = adviser.search();      // advice.mixes.front(), then runners-up
// What a person has set stays (`pinned`). residual_precision and gradient_precision change numerics and are never chosen.
// A mix is not timed where no mix of its kind can be as fast as those taken: recomputing only adds operations. Where predictions are
// too close to tell apart, the answer is the mix with the fewest techniques.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "harness/cell.h"
#include "harness/fit.h"
#include "harness/mixes.h"
#include "harness/planned.h"
#include "model/training/step_program.h"

namespace stepscope {

inline constexpr double as_fast = 1.02;  // predictions do not tell closer times apart

struct TimeSource {
  std::function<double(const Program&)> step_ns;  // of an optimizer step
  Card ceilings;  // a precision whose peak it lacks is left out
  std::string in_words;  // "roofline of l4"
};
[[nodiscard]] TimeSource roofline_source(const Card& card, std::string in_words);

struct Mix {
  TechniqueValues values = {};
  double step_ns = 0;  // predicted
  Needs needs = {};
  std::int64_t margin_bytes = 0;  // left beside all that counts; below 0: lacking
};

struct Advice {
  std::vector<Mix> mixes;  // that fit: the answer, then by time those that need less
  std::optional<Mix> fastest;  // by prediction: the answer, or one that is within as_fast of it and less plain
  std::optional<Mix> smallest;  // where none fits: of the mixes with the smallest micro-batches and chunks
  int timed = 0, planned = 0;
};

struct AdviceRequest {
  Machine machine;
  MemoryFit fit;
  TimeSource times;
  std::set<std::string> pinned = {};  // techniques that stay as the cell has them
  CheckpointingChoices checkpointing = named_checkpointing;
  std::string budget = {};  // "budget:6GiB": tried beside them, for each precision and cut; "": not
  int runners_up = 3;
};

class Adviser {
 public:
  Adviser(MatrixCell base, AdviceRequest request);

  [[nodiscard]] Advice search();
  // Mixes that differ from this one by a step of one technique, and fit.
  [[nodiscard]] std::vector<Mix> neighbours(const Mix& mix);
  // This mix, timed and planned; none where its cell is refused.
  [[nodiscard]] std::optional<Mix> evaluated(const TechniqueValues& values);
  [[nodiscard]] MatrixCell cell_of(const TechniqueValues& values) const;
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }  // what was left out, and why

 private:
  struct Node;
  using Queue = std::priority_queue<Node>;
  [[nodiscard]] std::vector<Choice> precisions();
  [[nodiscard]] std::vector<Choice> values_of(const std::string& technique, std::vector<Choice> free) const;
  [[nodiscard]] std::vector<Choice> accumulations() const;
  [[nodiscard]] std::vector<Choice> chunks() const;
  [[nodiscard]] std::vector<CheckpointingChoice> keep_sets(TechniqueValues values, const Program& forward,
                                                           bool with_budget) const;
  [[nodiscard]] std::int64_t tokens_of(const Choice& accumulation) const;  // of a micro-step: no more chunks than that
  [[nodiscard]] bool fits_whole(const StepPlanner& planner) const;
  [[nodiscard]] Mix mix_of(const TechniqueValues& values, const Program& program, double step_ns);
  [[nodiscard]] std::vector<Node> roots();
  [[nodiscard]] std::optional<Node> next_of(Queue& queue, bool with_budget);
  [[nodiscard]] Mix plainest_beside(const Node& fastest, Mix mix, Queue& queue);
  [[nodiscard]] Mix at_its_bytes(Mix mix);
  void find_runners_up(Advice& advice, Queue& queue);
  void find_smallest(Advice& advice);
  void plan_smallest(Mix& mix);
  void consider_smallest(Advice& advice, TechniqueValues values, bool with_budget);

  MatrixCell base_;
  AdviceRequest request_;
  std::vector<Choice> precisions_, accumulations_, chunks_;
  std::vector<std::string> notes_;
  int timed_ = 0, planned_ = 0;
};

}  // namespace stepscope
