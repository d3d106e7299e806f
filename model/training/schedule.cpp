#include "model/training/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/base/error.h"

namespace stepscope {

namespace {

constexpr double seed_decay = 0.99, cosine_floor = 0.1;

double seed_rate(const Schedule& schedule, double t) {
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  return schedule.learning_rate * (t < warmup ? t / warmup : std::pow(seed_decay, t - warmup));
}

double cosine_rate(const Schedule& schedule, double t) {
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  if (t < warmup) return schedule.learning_rate * (t + 1) / warmup;
  if (schedule.steps == 0) return schedule.learning_rate;
  const double length = std::max(1.0, static_cast<double>(schedule.steps - 1) - warmup);
  const double progress = std::min(1.0, (t - warmup) / length);
  const double share = cosine_floor + (1 - cosine_floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress));
  return schedule.learning_rate * share;
}

}  // namespace

Schedule schedule_named(std::string_view name, double learning_rate, std::int64_t warmup_steps, std::int64_t steps) {
  if (!(learning_rate >= 0) || !std::isfinite(learning_rate))
    throw UsageError(fmt::format("training.learning_rate = {}: a number of 0 or more is needed", learning_rate));
  if (warmup_steps < 0)
    throw UsageError(fmt::format("training.learning_rate_warmup = {}: 0 or more steps are needed", warmup_steps));
  if (steps < 0) throw UsageError(fmt::format("training.steps = {}: 0 or more are needed", steps));
  Schedule schedule{Schedule::Kind::constant, learning_rate, warmup_steps, steps};
  if (name == "seed")
    schedule.kind = Schedule::Kind::seed;
  else if (name == "cosine")
    schedule.kind = Schedule::Kind::cosine;
  else if (name != "constant")
    throw UsageError(fmt::format("training.schedule = \"{}\": known are \"seed\", \"cosine\" and \"constant\"", name));
  return schedule;
}

double learning_rate_at(const Schedule& schedule, std::int64_t step) {
  const auto t = static_cast<double>(step);
  switch (schedule.kind) {
    case Schedule::Kind::seed: return seed_rate(schedule, t);
    case Schedule::Kind::cosine: return cosine_rate(schedule, t);
    case Schedule::Kind::constant: break;
  }
  return schedule.learning_rate;
}

}  // namespace stepscope
