#include "harness/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <optional>

#include "harness/device_memory.h"
#include "harness/disturbance.h"
#include "harness/numerics.h"
#include "harness/planned.h"
#include "harness/session.h"
#include "harness/simulated_device.h"
#include "harness/step_profiler.h"
#include "harness/visit_trace.h"
#include "model/base/error.h"
#include "model/execution/region.h"
#include "model/training/evaluation.h"
#include "profiles/perfetto.h"

namespace stepscope {

namespace {

constexpr std::int64_t validations = 4;  // in a learning visit, evenly spaced
constexpr std::int64_t validation_batches = 4;  // in each

std::int64_t since_1970_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Diverged {
  std::string reason;
};

// A step that counts: its duration, a beat, and a look at its loss.
double timed_step(Session& session, const Heartbeat& heartbeat, StepResult* result = nullptr, double extra_work = 0) {
  const auto now_ns = [&] { return session.executor().now_ns(); };
  const std::int64_t begin_ns = now_ns();
  const StepResult step = session.trainer().step();
  if (extra_work > 0) {
    const std::int64_t end_ns = now_ns() + std::llround(extra_work * static_cast<double>(now_ns() - begin_ns));
    while (now_ns() < end_ns) {
    }
  }
  const auto time = static_cast<double>(now_ns() - begin_ns);
  heartbeat.beat();
  if (session.executor().computes() && diverged(step))
    throw Diverged{why_diverged(step, session.executor().control().step)};
  if (result != nullptr) *result = step;
  return time;
}

void measure_used_bytes(Visit& visit, Session& session) {
  session.trainer().write_next_batch();
  const Executor::UsedBytes used = session.executor().measure_used_bytes(session.trainer().next_learning_rate());
  visit.predicted_bytes = session.predicted_peak_bytes();
  visit.arena_used_bytes = used.arena;
  visit.used_by_category = {{"states", used.states}, {"arena", used.arena}};
  const std::int64_t host_planned = session.predicted_host_bytes(), host_used = used.host_states + used.host_arena;
  if (host_planned > 0) visit.host_used_bytes = host_used;
  const bool device_as_planned = used.states + used.arena == visit.predicted_bytes;
  if (device_as_planned && host_used == host_planned && used.differences.empty()) return;
  visit.outcome = Outcome::unverified;
  visit.reason =
      fmt::format("{} bytes were used{}, {} planned: {}", device_as_planned ? host_used : used.states + used.arena,
                  device_as_planned ? " in host memory" : "", device_as_planned ? host_planned : visit.predicted_bytes,
                  used.differences.empty() ? "no single value differs" : used.differences.front());
}

void first_step(Visit& visit, Session& session, const VisitRequest& request, const Heartbeat& heartbeat) {
  StepResult result;
  timed_step(session, heartbeat, &result);
  if (!session.executor().computes()) {
    visit.numerics.not_computed = times_in_words(request.machine);
    return;
  }
  const StepNumerics numerics = numerics_of(session.program(), session.executor(), result.loss);
  const bool native = multiplies(request.machine, recipe_of(session.configuration()).compute);
  visit.numerics = summary_of(numerics, native ? "native" : "widened");
  const std::filesystem::path file = request.folder / "numerics.safetensors";
  if (!std::filesystem::exists(file)) write_numerics(file, numerics);
}

void warm_up(Visit& visit, Session& session, std::int64_t steps, const Heartbeat& heartbeat) {
  for (std::int64_t i = 0; i < steps; ++i) timed_step(session, heartbeat);
  visit.warmup_steps += static_cast<int>(steps);
}

void measure_timed(Visit& visit, Session& session, const VisitRequest& request, const Heartbeat& heartbeat) {
  const MeasureSettings& settings = session.configuration().measure;
  measure_used_bytes(visit, session);
  heartbeat.beat();
  first_step(visit, session, request, heartbeat);
  visit.warmup_steps = 1;
  warm_up(visit, session, settings.warmup_steps, heartbeat);
  const DisturbanceMeter meter;
  for (std::int64_t i = 0; i < settings.timed_steps; ++i)
    visit.step_time_ns.push_back(timed_step(session, heartbeat, nullptr, request.extra_work));
  if (is_simulated(request.machine)) return;  // what else this machine did changes no simulated time
  visit.disturbance = meter.read(request.machine.threads);
  if (session.profiler_attached()) {
    visit.disturbance.disturbed = true;
    visit.disturbance.reason += visit.disturbance.reason.empty() ? "" : "; ";
    visit.disturbance.reason += "a profiler was attached through NVTX";
  }
}

void add_untraced_steps(ProfilerAccount& account, Session& session, std::int64_t steps, const Heartbeat& heartbeat) {
  for (std::int64_t i = 0; i < steps; ++i) account.untraced_step_time_ns.push_back(timed_step(session, heartbeat));
}

// As many steps unseen before and after those that are seen: what looking costs is measured where it is paid.
void measure_profiled(Visit& visit, Session& session, StepProfiler& profiler, const VisitRequest& request,
                      const Heartbeat& heartbeat) {
  const MeasureSettings& settings = session.configuration().measure;
  const std::int64_t steps = settings.profiled_steps;
  warm_up(visit, session, std::max<std::int64_t>(1, settings.warmup_steps), heartbeat);
  ProfilerAccount account;
  add_untraced_steps(account, session, steps, heartbeat);
  if (profiler.prepare(session, static_cast<int>(steps))) warm_up(visit, session, 1, heartbeat);
  const std::int64_t first_step = session.executor().control().step + 1;
  profiler.begin(session);
  for (std::int64_t i = 0; i < steps; ++i) visit.step_time_ns.push_back(timed_step(session, heartbeat));
  const Trace trace = profiler.finish(session);
  add_untraced_steps(account, session, steps, heartbeat);
  account.method = profiler.method();
  write_trace(request.folder / "trace.json.gz", session.program(), session.plan().plan, trace,
              {.cell = visit.cell,
               .device = request.machine.name,
               .times = times_in_words(request.machine),
               .first_step = first_step});
  add_trace(visit, account, session.program(), trace);
  visit.profiler = std::move(account);
  visit.memory = memory_timeline(session.plan());
}

void measure_learning(Visit& visit, Session& session, const VisitRequest& request, const Heartbeat& heartbeat) {
  const Configuration& c = session.configuration();
  const std::int64_t steps = c.measure.learning_steps, interval = std::max<std::int64_t>(1, steps / validations);
  std::unique_ptr<Evaluation> evaluation;
  if (mask_file_of(c.model).empty())
    evaluation = std::make_unique<Evaluation>(c.model, c.training, recipe_of(c), request.machine, session.source());
  double elapsed_ns = 0;  // validation is not counted
  for (std::int64_t i = 1; i <= steps; ++i) {
    StepResult result;
    elapsed_ns += timed_step(session, heartbeat, &result);
    LossPoint point{.step = i,
                    .tokens_seen = i * session.tokens_per_step(),
                    .elapsed_ns = std::llround(elapsed_ns),
                    .loss = result.loss};
    visit.losses.push_back(point);
    if (evaluation == nullptr || (i % interval != 0 && i != steps)) continue;
    point.loss = evaluation->loss(session.program(), session.executor(), validation_batches);
    visit.validation_losses.push_back(point);
    heartbeat.beat();
  }
}

void measure_kind(Visit& visit, const VisitRequest& request, const Heartbeat& heartbeat) {
  const MeasureSettings& settings = request.cell->configuration.measure;
  std::optional<StepProfiler> profiler;
  if (request.kind == VisitKind::profiled) profiler.emplace(request.machine);
  Session session(*request.cell, request.machine,
                  {.schedule_steps = std::max<std::int64_t>(1, settings.learning_steps),
                   .batch = nullptr,
                   .tuning = request.tuning});
  heartbeat.beat();
  visit.predicted_bytes = session.predicted_peak_bytes();
  switch (request.kind) {
    case VisitKind::timed: measure_timed(visit, session, request, heartbeat); break;
    case VisitKind::profiled: measure_profiled(visit, session, *profiler, request, heartbeat); break;
    case VisitKind::learning: measure_learning(visit, session, request, heartbeat); break;
  }
  if (recipe_of(session.configuration()).scales_loss && session.executor().computes()) {
    const ControlBlock& control = session.executor().control();
    visit.loss_scaling = {.scale = control.loss_scale, .skipped_steps = control.skips, .steps = control.step};
  }
  visit.device_reports_bytes = session.executor().device_reports_bytes();
  if (visit.device_reports_bytes) {
    visit.device_memory =
        device_memory(session, request.machine, profiler ? &*profiler : nullptr, *visit.device_reports_bytes);
  } else {
    visit.device_reports_bytes = largest_resident_bytes();
  }
}

void fail(Visit& visit, Outcome outcome, std::string reason) {
  visit.outcome = outcome;
  visit.reason = std::move(reason);
}

}  // namespace

Visit measure(const VisitRequest& request, const Heartbeat& heartbeat) {
  Visit visit;
  visit.cell = request.cell->id;
  visit.round = request.round;
  visit.kind = request.kind;
  visit.started_ns = since_1970_ns();
  try {
    measure_kind(visit, request, heartbeat);
  } catch (const Diverged& diverged) {
    fail(visit, Outcome::diverged, diverged.reason);
  } catch (const Unsupported& error) {
    fail(visit, Outcome::unsupported, error.what());
  } catch (const std::bad_alloc&) {
    fail(visit, Outcome::out_of_memory,
         fmt::format("{} bytes planned, {} free", visit.predicted_bytes, free_memory_bytes()));
  } catch (const OutOfMemory& error) {
    fail(visit, Outcome::out_of_memory, error.what());
  } catch (const MachineError& error) {
    fail(visit, Outcome::device_error, error.what());
  }
  visit.ended_ns = since_1970_ns();
  return visit;
}

}  // namespace stepscope
