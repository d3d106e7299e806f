#include "harness/advise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/planned.h"
#include "model/base/error.h"
#include "model/program/liveness.h"
#include "model/program/operation.h"
#include "model/techniques/checkpointing.h"
#include "reports/calibration.h"
#include "reports/format.h"

namespace stepscope {

namespace {

constexpr std::int64_t most_chunks = 64;
constexpr double worth_telling = 0.85;  // a slower mix needs at most this share of the arena

// Values that one operation reads are alive together, whatever is kept: no arena of this forward pass is smaller.
std::int64_t least_of_any_keep_set(const Program& program) {
  std::int64_t most = 0;
  for (const Operation& op : program.operations) {
    std::set<ValueId> read;
    for (const Operand& in : op.ins)
      if (in.is_value()) read.insert(in.value());
    std::int64_t sum = 0;
    for (const ValueId id : read) sum += round_up(program.value(id).type.size_bytes(), arena_alignment_bytes);
    most = std::max(most, sum);
  }
  return most;
}

}  // namespace

TimeSource roofline_source(const Card& card, std::string in_words) {
  return {.step_ns = [card](const Program& program) { return step_time_ns(program, roofline_times(program, card)); },
          .ceilings = card,
          .in_words = std::move(in_words)};
}

// A mix yet to be planned, or, without a program, all mixes of one forward pass: none of them is faster than that.
struct Adviser::Node {
  double ns = 0;
  TechniqueValues values = {};
  std::shared_ptr<const StepPlanner> planner = {};
  std::shared_ptr<const Program> program = {};
  bool operator<(const Node& other) const { return ns > other.ns; }  // the fastest first
};

Adviser::Adviser(MatrixCell base, AdviceRequest request) : base_(std::move(base)), request_(std::move(request)) {
  if (request_.pinned.contains("logits_chunks") && recipe_of(base_.configuration).logits_chunks == 0)
    throw UsageError("--set: logits_chunks = auto: the advice chooses them; leave it out, or give a number");
  try {
    (void)planner_of_cell(base_, request_.machine);  // what was set is told where it was set
  } catch (const Unsupported&) {  // in this precision perhaps; where no mix can, roots() says why
  }
  precisions_ = values_of("precision", {});
  if (precisions_.empty()) precisions_ = precisions();
  accumulations_ = values_of("accumulation", accumulations());
  chunks_ = values_of("logits_chunks", chunks());
}

std::vector<Choice> Adviser::values_of(const std::string& technique, std::vector<Choice> free) const {
  if (!request_.pinned.contains(technique)) return free;
  return {field_named(technique, "").get(base_.configuration)};
}

std::vector<Choice> Adviser::precisions() {
  std::vector<Choice> choices;
  const auto try_one = [&](const char* name, bool native, const std::string& why) {
    if (native && peak_named(request_.times.ceilings, name) > 0)
      choices.emplace_back(std::string(name));
    else
      notes_.push_back(fmt::format("{} is left out: {}", name, native ? "its peak is not known" : why));
  };
  const std::string widened = "widened to fp32 here, so that its predicted times say nothing";
  try_one("fp32", true, "");
  if (request_.machine.tf32) try_one("tf32", true, "");
  try_one("bf16", request_.machine.native_bf16, widened);
  const Card& c = request_.times.ceilings;
  if (request_.machine.native_bf16 && c.bf16_flops >= c.fp16_flops)
    notes_.emplace_back("fp16 is left out: beside bf16 it is no faster here, no smaller, and scales its loss");
  else
    try_one("fp16", request_.machine.native_fp16, widened);
  return choices;
}

std::vector<Choice> Adviser::accumulations() const {
  std::vector<Choice> choices;
  const std::int64_t rows = base_.configuration.training.global_batch;
  for (std::int64_t n = 1; n <= rows; ++n)
    if (rows % n == 0) choices.emplace_back(n);
  return choices;
}

std::vector<Choice> Adviser::chunks() const {
  std::vector<Choice> choices;
  for (std::int64_t n = 1; n <= most_chunks; n *= 2) choices.emplace_back(n);
  return choices;
}

// What a budget chooses is fastest of all that fits with these values; where that has a name, the name is told.
std::vector<CheckpointingChoice> Adviser::keep_sets(TechniqueValues values, const Program& forward,
                                                    bool with_budget) const {
  const auto chosen = [&](const Choice& value) {
    values["checkpointing"] = value;
    return CheckpointingChoice{value, keep_set_of_cell(cell_of(values), request_.machine, forward)};
  };
  if (request_.pinned.contains("checkpointing")) return {chosen(values.at("checkpointing"))};
  std::vector<CheckpointingChoice> choices = request_.checkpointing(forward);
  if (request_.budget.empty() || !with_budget) return choices;
  CheckpointingChoice budget = chosen(request_.budget);
  const bool has_a_name = std::any_of(choices.begin(), choices.end(),
                                      [&](const CheckpointingChoice& other) { return other.keep == budget.keep; });
  if (!has_a_name) choices.push_back(std::move(budget));
  return choices;
}

MatrixCell Adviser::cell_of(const TechniqueValues& values) const { return cell_with(base_, values); }

std::int64_t Adviser::tokens_of(const Choice& accumulation) const {
  const TrainingSettings& training = base_.configuration.training;
  return training.global_batch / number_of(accumulation) * training.sequence;
}

// Every precision, cut into micro-steps and chunks, that could fit at all, as fast as it is with everything kept. What this machine cannot do
// is left out; where that is all, why.
std::vector<Adviser::Node> Adviser::roots() {
  std::vector<Node> nodes;
  std::optional<Unsupported> refusal;
  int supported = 0;
  TechniqueValues values = technique_values(base_.configuration);
  for (const Choice& precision : precisions_)
    for (const Choice& accumulation : accumulations_)
      for (const Choice& chunks : chunks_) {
        values["precision"] = precision, values["accumulation"] = accumulation, values["logits_chunks"] = chunks;
        if (number_of(chunks) > tokens_of(accumulation)) continue;
        if (!request_.pinned.contains("checkpointing")) values["checkpointing"] = std::string("none");
        std::shared_ptr<StepPlanner> planner;
        try {
          planner = std::make_shared<StepPlanner>(planner_of_cell(cell_of(values), request_.machine));
        } catch (const Unsupported& error) {
          refusal = error;
          continue;
        }
        ++supported;
        const Program whole = planner->lowered(keepable(planner->forward()));
        const std::int64_t states = state_bytes(whole).total();
        ++timed_;
        if (request_.fit.margin_bytes(states, least_of_any_keep_set(whole)) < 0) continue;
        nodes.push_back({.ns = request_.times.step_ns(whole), .values = values, .planner = std::move(planner)});
      }
  if (supported == 0 && refusal) throw Unsupported(*refusal);
  return nodes;
}

Mix Adviser::mix_of(const TechniqueValues& values, const Program& program, double step_ns) {
  Mix mix{.values = values, .step_ns = step_ns, .needs = needs_of(program, request_.fit)};
  planned_ += mix.needs.exact ? 1 : 0;
  mix.margin_bytes = request_.fit.margin_bytes(mix.needs.state_bytes, mix.needs.arena_bytes);
  return mix;
}

// Then a budget has nothing to choose.
bool Adviser::fits_whole(const StepPlanner& planner) const {
  return needs_of(planner.lowered(keepable(planner.forward())), request_.fit).fits;
}

// The next mix with a keep-set, by time.
std::optional<Adviser::Node> Adviser::next_of(Queue& queue, bool with_budget) {
  while (!queue.empty()) {
    Node node = queue.top();
    queue.pop();
    if (node.program != nullptr) return node;
    const bool open = with_budget && !fits_whole(*node.planner);
    for (CheckpointingChoice& choice : keep_sets(node.values, node.planner->forward(), open)) {
      Node leaf{.values = node.values, .program = std::make_shared<Program>(node.planner->lowered(choice.keep))};
      leaf.values["checkpointing"] = std::move(choice.value);
      leaf.ns = request_.times.step_ns(*leaf.program);
      ++timed_;
      queue.push(std::move(leaf));
    }
  }
  return std::nullopt;
}

// Of the mixes as fast as this one, which fits, that with the least burden that fits too; the others go back to the queue.
Mix Adviser::plainest_beside(const Node& fastest, Mix mix, Queue& queue) {
  std::vector<Node> close, put_back;
  while (!queue.empty() && queue.top().ns <= as_fast * fastest.ns) {
    Node node = queue.top();
    if (!(burden(node.values) < burden(mix.values))) {  // and so with any keep-set
      put_back.push_back(std::move(node));
      queue.pop();
    } else if (std::optional<Node> leaf = next_of(queue, false)) {
      (leaf->ns <= as_fast * fastest.ns ? close : put_back).push_back(std::move(*leaf));
    }
  }
  std::stable_sort(close.begin(), close.end(),
                   [](const Node& a, const Node& b) { return burden(a.values) < burden(b.values); });
  bool found = false;
  for (Node& node : close) {
    std::optional<Mix> plainer;
    if (!found && burden(node.values) < burden(mix.values)) plainer = mix_of(node.values, *node.program, node.ns);
    if (plainer && plainer->needs.fits)
      mix = std::move(*plainer), found = true;
    else
      put_back.push_back(std::move(node));
  }
  if (found) put_back.push_back(fastest);
  for (Node& node : put_back) queue.push(std::move(node));
  return mix;
}

// What a budget of the mix's own bytes makes of it where that is faster: what checkpointing names is then not worth telling.
Mix Adviser::at_its_bytes(Mix mix) {
  const Choice& checkpointing = mix.values.at("checkpointing");
  if (request_.budget.empty() || request_.pinned.contains("checkpointing") || is_budget(checkpointing) ||
      to_string(checkpointing) == "none")
    return mix;
  const std::int64_t bytes = mix.needs.total() + request_.machine.context_bytes;
  const bool small = bytes < std::int64_t{1} << 30;
  const std::int64_t unit = small ? 1 << 10 : 1 << 20;
  TechniqueValues values = mix.values;
  values["checkpointing"] = fmt::format("budget:{}{}", bytes / unit, small ? "KiB" : "MiB");
  std::optional<Mix> chosen = evaluated(values);
  return chosen && chosen->needs.fits && chosen->step_ns * as_fast < mix.step_ns ? std::move(*chosen) : std::move(mix);
}

// A budget takes nearly all the bytes there are: it is tried for the answer, and at the bytes of runners-up.
Advice Adviser::search() {
  Advice advice;
  Queue queue;
  for (Node& node : roots()) queue.push(std::move(node));
  while (const std::optional<Node> node = next_of(queue, true)) {
    Mix mix = mix_of(node->values, *node->program, node->ns);
    if (!mix.needs.fits) continue;
    advice.fastest = mix;
    advice.mixes.push_back(plainest_beside(*node, std::move(mix), queue));
    break;
  }
  if (advice.mixes.empty())
    find_smallest(advice);
  else
    find_runners_up(advice, queue);
  advice.timed = timed_, advice.planned = planned_;
  return advice;
}

// Each needs less than all before it: by time in order, no other mix is faster and smaller.
void Adviser::find_runners_up(Advice& advice, Queue& queue) {
  Needs least = advice.mixes.front().needs;
  while (std::ssize(advice.mixes) <= request_.runners_up) {
    const std::optional<Node> node = next_of(queue, false);
    if (!node) break;
    Mix mix = mix_of(node->values, *node->program, node->ns);
    if (!mix.needs.fits || mix.needs.total() >= least.total() ||
        as_double(mix.needs.arena_bytes) > worth_telling * as_double(least.arena_bytes))
      continue;
    least = mix.needs;
    advice.mixes.push_back(at_its_bytes(std::move(mix)));
  }
  std::stable_sort(advice.mixes.begin() + 1, advice.mixes.end(),
                   [](const Mix& a, const Mix& b) { return a.step_ns < b.step_ns; });
}

// Of the most micro-steps, each number of chunks; of the best of them what a budget makes at its smallest.
void Adviser::find_smallest(Advice& advice) {
  TechniqueValues values = technique_values(base_.configuration);
  const auto few = std::find_if(accumulations_.rbegin(), accumulations_.rend(),
                                [&](const Choice& one) { return number_of(chunks_.front()) <= tokens_of(one); });
  values["accumulation"] = *few;  // the cell's own would do
  for (const bool with_budget : {false, true}) {
    if (with_budget && advice.smallest) values["logits_chunks"] = advice.smallest->values.at("logits_chunks");
    for (const Choice& precision : precisions_) {
      values["precision"] = precision;
      for (const Choice& chunks : with_budget ? std::vector<Choice>{values["logits_chunks"]} : chunks_) {
        values["logits_chunks"] = chunks;
        consider_smallest(advice, values, with_budget);
      }
    }
  }
  if (advice.smallest) plan_smallest(*advice.smallest);
}

// Only the one that is told is planned: what plans take is near the least that any takes.
void Adviser::plan_smallest(Mix& mix) {
  MemoryFit endless = request_.fit;
  endless.memory.bytes = std::int64_t{1} << 60;
  const MatrixCell cell = cell_of(mix.values);
  const StepPlanner planner = planner_of_cell(cell, request_.machine);
  mix.needs = needs_of(planner.lowered(keep_set_of_cell(cell, request_.machine, planner.forward())), endless);
  mix.needs.fits = false;
  mix.margin_bytes = request_.fit.margin_bytes(mix.needs.state_bytes, mix.needs.arena_bytes);
  ++planned_;
}

void Adviser::consider_smallest(Advice& advice, TechniqueValues values, bool with_budget) {
  if (number_of(values.at("logits_chunks")) > tokens_of(values.at("accumulation"))) return;
  if (!request_.pinned.contains("checkpointing")) values["checkpointing"] = std::string("none");
  std::optional<StepPlanner> planner;
  try {
    planner.emplace(planner_of_cell(cell_of(values), request_.machine));
  } catch (const Unsupported&) {
    return;  // this machine cannot do it
  }
  for (CheckpointingChoice& choice : keep_sets(values, planner->forward(), with_budget)) {
    const Program program = planner->lowered(choice.keep);
    Mix mix{.values = values,
            .step_ns = request_.times.step_ns(program),
            .needs = {.state_bytes = state_bytes(program).total(), .arena_bytes = least_arena_bytes(program)}};
    mix.values["checkpointing"] = std::move(choice.value);
    mix.margin_bytes = request_.fit.margin_bytes(mix.needs.state_bytes, mix.needs.arena_bytes);
    ++timed_;
    if (!advice.smallest || mix.margin_bytes > advice.smallest->margin_bytes) advice.smallest = std::move(mix);
  }
}

std::optional<Mix> Adviser::evaluated(const TechniqueValues& values) {
  try {
    const MatrixCell cell = cell_of(values);
    const StepPlanner planner = planner_of_cell(cell, request_.machine);
    const Program program = planner.lowered(keep_set_of_cell(cell, request_.machine, planner.forward()));
    ++timed_;
    return mix_of(values, program, request_.times.step_ns(program));
  } catch (const UsageError&) {
    return std::nullopt;  // more chunks than tokens
  } catch (const Unsupported&) {
    return std::nullopt;
  }
}

std::vector<Mix> Adviser::neighbours(const Mix& mix) {
  std::vector<Mix> found;
  const auto add = [&](const std::string& technique, const Choice& value) {
    TechniqueValues values = mix.values;
    values[technique] = value;
    std::optional<Mix> one = evaluated(values);
    if (one && one->needs.fits) found.push_back(std::move(*one));
  };
  const auto add_beside = [&](const std::string& technique, const std::vector<Choice>& choices) {
    const auto here = std::find(choices.begin(), choices.end(), mix.values.at(technique));
    if (here == choices.end()) return;
    if (here != choices.begin()) add(technique, *(here - 1));
    if (here + 1 != choices.end()) add(technique, *(here + 1));
  };
  add_beside("precision", precisions_);
  add_beside("accumulation", accumulations_);
  add_beside("logits_chunks", chunks_);
  if (request_.pinned.contains("checkpointing")) return found;
  const StepPlanner planner = planner_of_cell(cell_of(mix.values), request_.machine);
  std::vector<std::pair<double, Choice>> by_time;
  for (CheckpointingChoice& choice : keep_sets(mix.values, planner.forward(), false))
    by_time.emplace_back(request_.times.step_ns(planner.lowered(choice.keep)), std::move(choice.value));
  std::stable_sort(by_time.begin(), by_time.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Choice> ordered;
  for (auto& [ns, value] : by_time) ordered.push_back(std::move(value));
  add_beside("checkpointing", ordered);
  return found;
}

}  // namespace stepscope
