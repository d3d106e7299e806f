#include "model/training/optimizer.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "model/base/error.h"
#include "model/operations/adam/adam.h"

namespace stepscope {

namespace {

// Parameters of one block are updated together, at the block's site.
SiteId owner_of(const Program& program, SiteId site) {
  const SiteId parent = program.site(site).parent;
  return parent.index <= 0 || program.site(site).layer_class == "MLPBlock" ||
                 program.site(site).layer_class == "AttentionBlock"
             ? site
             : owner_of(program, parent);
}

bool is_matrix_of_dense(const Program& program, const State& parameter) {
  return parameter.type.shape.rank() == 2 && program.site(parameter.site).layer_class == "Dense";
}

// Parameters with one owner and one decay, in the model's order: those of one operation.
struct Group {
  SiteId owner;
  double weight_decay = 0;
  std::vector<StateId> parameters = {};
};

std::vector<Group> groups_of(const Program& program, double weight_decay) {
  std::vector<Group> groups;
  std::size_t of_owner = 0;  // the first group of the present owner
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const State& parameter = program.state(id);
    const SiteId owner = owner_of(program, parameter.site);
    const double decay = is_matrix_of_dense(program, parameter) ? weight_decay : 0;
    if (groups.empty() || groups.back().owner != owner) of_owner = groups.size();
    std::size_t at = of_owner;
    while (at < groups.size() && groups[at].weight_decay != decay) ++at;
    if (at == groups.size()) groups.push_back({owner, decay});
    groups[at].parameters.push_back(id);
  }
  return groups;
}

void append_moments(Program& program) {
  for (const StateId id : program.states_of(StateKind::parameter))
    for (const char* moment : {"moment1.", "moment2."}) {
      const State parameter = program.state(id);
      program.states.push_back({moment + parameter.name, parameter.type, StateKind::moment, parameter.site, id, {}});
    }
}

void append_adam(Program& program, const Group& group, const TrainingSettings& training, const UpdateOptions& options) {
  Operation op{.kind = &adam_kind,
               .attributes = {.epsilon = 1e-8,
                              .beta1 = training.beta1,
                              .beta2 = training.beta2,
                              .weight_decay = group.weight_decay,
                              .skips_overflow = options.skips_overflow},
               .site = group.owner,
               .phase = Phase::update,
               .section = Section::update};
  op.ins.push_back(whole(program, program.control));
  for (const StateId id : group.parameters) {
    op.ins.push_back(whole(program, program.belonging_to(id, StateKind::gradient)));
    op.writes.push_back({id, Accumulate::no});
    for (const int nth : {0, 1})
      op.writes.push_back({program.belonging_to(id, StateKind::moment, nth), Accumulate::no});
  }
  op.ins.push_back(whole(program, program.results));
  program.operations.push_back(std::move(op));
}

}  // namespace

std::span<const Optimizer> optimizers() {
  static const Optimizer rows[] = {
      {"adam", "without weight decay", false},
      {"adamw", "matrices of Dense layers decay, norms, biases and embeddings do not", true},
  };
  return rows;
}

const Optimizer& optimizer_named(std::string_view name) {
  std::string known;
  for (const Optimizer& row : optimizers()) {
    if (row.name == name) return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  throw UsageError(fmt::format("training.optimizer = \"{}\": must be one of {}", name, known));
}

void append_update(Program& program, const TrainingSettings& training, const UpdateOptions& options) {
  append_moments(program);
  const double decay = optimizer_named(training.optimizer).decays ? training.weight_decay : 0;
  for (const Group& group : groups_of(program, decay)) append_adam(program, group, training, options);
}

}  // namespace stepscope
