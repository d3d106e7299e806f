// stepscope step: a few steps of one cell under a magnifier, for parity checks, debuggers and profilers.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/commands/commands.h"
#include "harness/commands/options.h"
#include "harness/device.h"
#include "harness/planned.h"
#include "harness/session.h"
#include "harness/simulated_device.h"
#include "harness/step_profiler.h"
#include "harness/tuning.h"
#include "model/base/error.h"
#include "model/base/file.h"
#include "model/execution/read_floats.h"
#include "model/training/hf_export.h"
#include "model/training/logits_reader.h"
#include "profiles/perfetto.h"
#include "reports/format.h"
#include "reports/statistics.h"

namespace stepscope {

namespace {

struct StepCommand {
  ConfigurationOptions configuration;
  std::string cell, batch, weights, save, trace, export_to, memory_cap, tuning, device = "cpu", profile_window;
  std::int64_t steps = 1;
  int threads = 0;
  bool json = false;
};

NamedTensor tensor_of(std::string name, const Shape& shape, std::span<const float> elements) {
  NamedTensor tensor{.name = std::move(name), .dtype = DType::fp32, .shape = shape, .bytes = {}};
  tensor.bytes.resize(elements.size_bytes());
  std::memcpy(tensor.bytes.data(), elements.data(), elements.size_bytes());
  return tensor;
}

struct StepWindow {
  std::int64_t first = 0, last = 0;  // from 1, both included
};

// "last" or FIRST:LAST.
std::optional<StepWindow> window_of(const StepCommand& command) {
  const std::string& text = command.profile_window;
  if (text.empty()) return std::nullopt;
  if (text == "last") return StepWindow{command.steps, command.steps};
  StepWindow window;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, window.first);
  const bool colon = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  const auto last = std::from_chars(colon ? first.ptr + 1 : end, end, window.last);
  if (!colon || last.ec != std::errc() || last.ptr != end || window.first < 1 || window.last < window.first ||
      window.last > command.steps)
    throw UsageError(
        fmt::format("--profile-window {}: must be FIRST:LAST within the {} of --steps, or last", text, command.steps));
  return window;
}

double gradient_norm(const Program& program, const Executor& executor) {
  double squares = 0;
  for (const StateId id : program.states_of(StateKind::gradient))
    for (const float element : read_floats(executor, program, id))
      squares += static_cast<double>(element) * static_cast<double>(element);
  return std::sqrt(squares);
}

constexpr double not_computed = std::numeric_limits<double>::quiet_NaN();

struct Measured {
  double loss = 0, gradient_norm = 0;
  std::vector<double> step_ns;  // of the steps after the first
  std::optional<std::int64_t> used_peak_bytes, used_host_bytes;
  std::vector<std::string> differences;
};

void save(const StepCommand& command, const Session& session, const Executor& executor, const LogitsReader& logits,
          double loss) {
  const Program& program = session.program();
  const float loss_element = static_cast<float>(loss);
  std::vector<NamedTensor> tensors{tensor_of("loss", {1}, std::span(&loss_element, 1))};
  const Shape shape{program.global_batch, program.sequence, session.configuration().model.vocabulary};
  if (logits.any()) tensors.push_back(tensor_of("logits", shape, logits.all()));
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const State& parameter = program.state(id);
    const StateId gradient = program.belonging_to(id, StateKind::gradient);
    tensors.push_back(
        tensor_of("gradient." + parameter.name, parameter.type.shape, read_floats(executor, program, gradient)));
    tensors.push_back(tensor_of("updated." + parameter.name, parameter.type.shape, read_floats(executor, program, id)));
  }
  write_safetensors(command.save, tensors, {{"cell", cell_id(session.configuration())}});
}

// profiler: null where no trace is asked for.
Measured measure(const StepCommand& command, const Machine& machine, Session& session, StepProfiler* profiler) {
  Measured measured;
  const std::optional<StepWindow> window = window_of(command);
  std::optional<LogitsReader> logits;  // as large as all of the batch's: only where they are kept
  if (!command.save.empty()) logits.emplace(session.program(), session.executor());
  if (command.json) {  // before the steps, because states are restored only as they were
    session.trainer().write_next_batch();
    const Executor::UsedBytes used = session.executor().measure_used_bytes(session.trainer().next_learning_rate());
    measured.used_peak_bytes = used.states + used.arena;
    measured.used_host_bytes = used.host_states + used.host_arena;
    measured.differences = used.differences;
  }
  for (std::int64_t i = 0; i < command.steps; ++i) {
    const bool last = i + 1 == command.steps;
    if (last && profiler != nullptr) {
      profiler->prepare(session, 1, logits ? &*logits : nullptr);
      profiler->begin(session);
    } else if (last && logits) {
      session.observe(&*logits);
    }
    if (window && i + 1 == window->first) session.executor().mark_profile_window(true);
    const std::int64_t begin_ns = session.executor().now_ns();
    measured.loss = session.trainer().step().loss;
    if (i > 0) measured.step_ns.push_back(static_cast<double>(session.executor().now_ns() - begin_ns));
    if (window && i + 1 == window->last) session.executor().mark_profile_window(false);
  }
  std::optional<Trace> trace;
  if (profiler != nullptr) trace = profiler->finish(session);
  session.observe(nullptr);
  measured.gradient_norm =
      session.executor().computes() ? gradient_norm(session.program(), session.executor()) : not_computed;
  if (logits) save(command, session, session.executor(), *logits, measured.loss);
  if (trace)
    write_trace(command.trace, session.program(), session.plan().plan, *trace,
                {.cell = cell_id(session.configuration()),
                 .device = machine.name,
                 .times = times_in_words(machine),
                 .first_step = command.steps});
  return measured;
}

nlohmann::ordered_json time_json(const std::vector<double>& ns) {
  if (ns.empty()) return nullptr;
  const auto [low, high] = std::minmax_element(ns.begin(), ns.end());
  return {{"median", median_of(ns)}, {"low", *low}, {"high", *high}};
}

nlohmann::ordered_json device_json(const Machine& machine) {
  return {{"kind", kind_of_device(machine)}, {"name", machine.name}};
}

void print_result(const StepCommand& command, const Machine& machine, const Session& session, const Measured& m) {
  if (command.json) {
    nlohmann::ordered_json line{{"schema", "stepscope.step/1"}, {"id", cell_id(session.configuration())}};
    line["device"] = device_json(machine);
    line["steps"] = command.steps;
    line["loss"] = std::isfinite(m.loss) ? nlohmann::ordered_json(m.loss) : nlohmann::ordered_json(nullptr);
    line["gradient_norm"] = m.gradient_norm;
    line["step_time_ns"] = time_json(m.step_ns);
    line["used_peak"] = *m.used_peak_bytes;
    line["predicted_peak"] = session.predicted_peak_bytes();
    if (session.predicted_host_bytes() > 0) {
      line["used_host"] = *m.used_host_bytes;
      line["predicted_host"] = session.predicted_host_bytes();
    }
    line["differences"] = m.differences;
    fmt::print("{}\n", line.dump());
    return;
  }
  fmt::print("{}: loss {:.6f}, gradient norm {:.6f}, peak {}", cell_id(session.configuration()), m.loss,
             m.gradient_norm, format_bytes(static_cast<double>(session.predicted_peak_bytes())));
  if (!m.step_ns.empty()) fmt::print(", {} a step (median of {})", format_time(median_of(m.step_ns)), m.step_ns.size());
  fmt::print("{}\n", is_simulated(machine) ? "; " + times_in_words(machine) : "");
}

// B and S come from the batch, whatever the file says.
Assignments with_batch(Assignments overrides, const BatchFile& batch) {
  const auto give = [&](const char* name, Choice value) {
    const Field& field = field_named(name, batch.path);
    assign(overrides, {&field, std::move(value), batch.path, field.section + "." + field.name});
  };
  give("global_batch", batch.rows);
  give("sequence", batch.sequence);
  return overrides;
}

// A mask in the batch takes the place of any other custom one.
Assignments with_mask(Assignments given, const BatchFile& batch, std::vector<std::string> masks) {
  if (!batch.mask) return given;
  std::erase_if(masks, [](const std::string& mask) { return mask.starts_with("custom"); });
  masks.push_back("custom:" + batch.path);
  const Field& field = field_named("mask", batch.path);
  assign(given, {&field, masks, batch.path, "model.mask"});
  return given;
}

// Ids are those of the file, before a batch's shape goes over it.
MatrixCell chosen_cell(const StepCommand& command, const BatchFile* batch) {
  const ConfigurationOptions& options = command.configuration;
  Assignments given;
  if (!command.cell.empty()) {
    given = *options.read(options.overrides()).cell(command.cell).given;
  } else {
    const Matrix matrix =
        options.read(batch == nullptr ? options.overrides() : with_batch(options.overrides(), *batch));
    if (matrix.cells.size() > 1) {
      throw UsageError(fmt::format("{}: has {} cells: --cell ID chooses one; stepscope plan lists them", options.matrix,
                                   matrix.cells.size()));
    }
    given = *matrix.cells.front().given;
  }
  if (batch == nullptr) return matrix_of(given).cells.front();
  const MatrixCell cell = matrix_of(with_batch(std::move(given), *batch)).cells.front();
  return matrix_of(with_mask(*cell.given, *batch, cell.configuration.model.mask)).cells.front();
}

// Before the work whose result would be lost.
void require_writable(const char* option, const std::string& file) {
  if (file.empty()) return;
  if (const std::string why = what_hinders_writing(file); !why.empty())
    throw UsageError(fmt::format("{} {}: cannot be written: {}", option, file, why));
}

void step(const StepCommand& command) {
  require_writable("--save", command.save);
  require_writable("--trace", command.trace);
  static_cast<void>(window_of(command));
  std::optional<BatchFile> batch;
  if (!command.batch.empty()) batch = read_batch_file(command.batch);
  const MatrixCell cell = chosen_cell(command, batch ? &*batch : nullptr);
  const std::filesystem::path export_folder = export_folder_of(command.export_to, cell.configuration);
  Machine machine = machine_on(command.device, command.threads);
  if (!command.save.empty()) require_computing(machine, "--save");
  if (!command.export_to.empty()) require_computing(machine, "--export");
  if (command.weights.empty()) check_weights(cell.configuration);
  require_fit(cell, machine);
  cap_memory_to(command.memory_cap);
  machine = with_cap(machine, command.memory_cap);
  if (!command.profile_window.empty() && !machine.has_kernels)
    throw UsageError(
        "--profile-window: is for --device cuda; on a CPU a profiler sees the NVTX ranges of every step as they are");
  std::optional<StepProfiler> profiler;
  if (!command.trace.empty()) profiler.emplace(machine);
  Session session(cell, machine,
                  {.schedule_steps = command.steps,
                   .batch = batch ? &*batch : nullptr,
                   .tuning = tuning_asked_for(machine, command.tuning),
                   .weights_follow = !command.weights.empty()});
  if (!command.weights.empty()) load_weights(session.program(), session.executor(), command.weights);
  const Measured measured = measure(command, machine, session, profiler ? &*profiler : nullptr);
  if (!export_folder.empty())
    export_hf(session.program(), session.executor(), session.configuration().model, export_folder);
  print_result(command, machine, session, measured);
}

}  // namespace

void add_step(CLI::App& app) {
  auto command = std::make_shared<StepCommand>();
  CLI::App& sub =
      *app.add_subcommand("step", "a few steps of one cell: loss, gradients, logits; for checks and debuggers");
  add_configuration_options(sub, command->configuration);
  sub.add_option("--cell", command->cell, "which cell of the matrix")->type_name("ID");
  sub.add_option("--batch", command->batch, "tokens, targets, lengths, mask; their shape goes over the file's")
      ->type_name("B.safetensors");
  sub.add_option("--weights", command->weights, "parameters; default: those of --hf, else initialised from the seed")
      ->type_name("W.safetensors");
  sub.add_option("--save", command->save, "loss, logits, gradients of the last step, updated parameters")
      ->type_name("OUT.safetensors");
  add_export_option(sub, command->export_to);
  sub.add_option("--trace", command->trace, "the last step, for ui.perfetto.dev and chrome://tracing")
      ->type_name("FILE.json.gz");
  sub.add_option("--profile-window", command->profile_window,
                 "the steps that a profiler sees which waits for cudaProfilerStart (nsys -c cudaProfilerApi, ncu "
                 "--profile-from-start off)")
      ->type_name("FIRST:LAST|last");
  sub.add_option("--steps", command->steps, "how many")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  add_memory_cap_option(sub, command->memory_cap);
  add_device_option(sub, command->device);
  add_tuning_option(sub, command->tuning);
  add_threads_option(sub, command->threads);
  add_json_option(sub, command->json);
  sub.callback([command] { step(*command); });
}

}  // namespace stepscope
