#include "model/techniques/offload.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "model/base/error.h"
#include "model/program/copy.h"
#include "model/techniques/checkpointing.h"

namespace stepscope {

namespace {

constexpr std::string_view values =
    "\"none\", \"optimizer\", \"master\", \"activations:TARGET\" (a target of checkpointing), or a list of these, also "
    "with "
    "\"window:N\" (operations whose copies are in flight, from 0)";
constexpr std::string_view activations = "activations:", window = "window:";

std::optional<int> number_behind(std::string_view word) {
  int number = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size() && number >= 0 ? std::optional(number) : std::nullopt;
}

void apply(const Choice& choice, StepRecipe& recipe) {
  std::vector<std::string> words;
  if (const auto* one = std::get_if<std::string>(&choice)) words = {*one};
  if (const auto* many = std::get_if<std::vector<std::string>>(&choice)) words = *many;
  OffloadChoice offload;
  bool right = !words.empty() && std::set<std::string>(words.begin(), words.end()).size() == words.size();
  for (const std::string& word : words) {
    if (word == "optimizer")
      offload.moments = true;
    else if (word == "master")
      offload.masters = true;
    else if (word.starts_with(activations) && word.size() > activations.size())
      offload.targets.push_back(word.substr(activations.size()));
    else if (word.starts_with(window) && !offload.in_flight)
      right = right && (offload.in_flight = number_behind(std::string_view(word).substr(window.size())));
    else
      right = right && word == "none" && words.size() == 1;
  }
  right = right && offload.any() == (words.front() != "none");
  if (!right) throw UsageError(fmt::format("offload = {}: must be {}", to_string(choice), values));
  recipe.offload = std::move(offload);
}

// Parameters that only casts read before the update.
std::set<StateId> masters_of(const Program& program) {
  std::set<StateId> masters;
  for (const StateId copy : program.states_of(StateKind::copy)) masters.insert(program.state(copy).master);
  for (const Operation& op : program.operations)
    for (const Operand& in : op.ins)
      if (op.section == Section::micro && in.is_state()) masters.erase(in.state());
  return masters;
}

class States {
 public:
  States(Program& program, const std::set<StateId>& moved) : program_(program), moved_(moved) {}

  void stream() {
    for (const StateId id : moved_) program_.states[static_cast<std::size_t>(id.index)].memory = Memory::host;
    const std::vector<Operation> before = std::exchange(program_.operations, {});
    std::size_t added = 0;  // before the micro-step, whose operations name others in it by number
    for (std::size_t i = 0; i < before.size(); ++i) {
      Operation op = before[i];
      copies_back_.clear();
      if (i > 0 && op.section == Section::micro && before[i - 1].section == Section::prologue)
        added = program_.operations.size() - i;
      if (op.original >= 0) op.original += static_cast<int>(added);
      for (Operand& in : op.ins)
        if (in.is_state() && moved_.contains(in.state())) in = fetched(in.state(), op);
      for (Write& write : op.writes)
        if (moved_.contains(write.state)) stage(write, op);
      program_.operations.push_back(std::move(op));
      for (Operation& copy : copies_back_) program_.operations.push_back(std::move(copy));
    }
  }

 private:
  [[nodiscard]] Operation copy(const OperationKind& kind, const Operand& in, const Operation& beside) const {
    return {.kind = &kind, .ins = {in}, .site = beside.site, .phase = beside.phase, .section = beside.section};
  }
  ValueId add_value(StateId state, SiteId site) {
    program_.values.push_back({program_.state(state).name, program_.state(state).type, site});
    return {static_cast<int>(program_.values.size()) - 1};
  }
  Operand fetched(StateId state, const Operation& reader) {
    Operation fetch = copy(copy_from_host_kind, whole(program_, state), reader);
    fetch.outs = {add_value(state, reader.site)};
    const Operand value = whole(program_, fetch.outs[0]);
    program_.operations.push_back(std::move(fetch));
    return value;
  }
  void stage(Write& write, Operation& op) {
    write.in = static_cast<int>(op.ins.size());
    op.ins.push_back(fetched(write.state, op));
    write.out = static_cast<int>(op.outs.size());
    op.outs.push_back(add_value(write.state, op.site));
    Operation back = copy(copy_to_host_kind, whole(program_, op.outs.back()), op);
    back.writes = {{write.state, Accumulate::no}};
    copies_back_.push_back(std::move(back));
  }

  Program& program_;
  const std::set<StateId>& moved_;
  std::vector<Operation> copies_back_;
};

}  // namespace

const Technique offload_technique{"offload", std::string("none"), values, apply, true};

KeepSet offloaded_values(const Program& forward, const KeepSet& keep, const OffloadChoice& choice) {
  KeepSet sent;
  std::ranges::set_intersection(choice.values, keep, std::inserter(sent, sent.end()));
  for (const std::string& target : choice.targets)
    sent.merge(made_inside(forward, keep, target, "offload = activations"));
  return sent;
}

void offload_states(Program& program, const OffloadChoice& choice) {
  std::set<StateId> moved;
  if (choice.moments)
    for (const StateId id : program.states_of(StateKind::moment)) moved.insert(id);
  if (choice.masters) {
    std::set<StateId> masters = masters_of(program);
    if (masters.empty())
      throw UsageError("offload = master: needs precision = bf16 or fp16, whose matmuls read copies of the parameters");
    moved.merge(masters);
  }
  if (!moved.empty()) States(program, moved).stream();
}

}  // namespace stepscope
