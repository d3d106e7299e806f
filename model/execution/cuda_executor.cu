#include "model/execution/cuda_executor.h"

#include <cuda_profiler_api.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/base/error.h"
#include "model/execution/cuda_memory.cuh"
#include "model/execution/cuda_step_memory.cuh"
#include "model/execution/state_store.h"
#include "model/operations/list_cuda.cuh"
#include "model/program/copy.h"
#include "model/program/simulated_card.h"

namespace stepscope {

// The host knows only whether a micro-step is the first; the rest reads which one it is here.
static __global__ void next_micro_step_kernel(ControlBlock* control) { ++control->micro_step; }

namespace {

int chosen(int card) {
  STEPSCOPE_CUDA(cudaSetDevice(card));
  return card;
}

std::int64_t needed_bytes(const Program& program, const MemoryPlan& plan) {
  return state_bytes(program).total() + plan.arena_bytes;
}

// Before anything is allocated, so that what is asked for is the whole of it.
void require_room(std::int64_t needed) {
  if (needed > static_cast<std::int64_t>(card_bytes().free)) throw no_room_on_card(static_cast<std::size_t>(needed));
}

std::int64_t taken_bytes() {
  const CardBytes now = card_bytes();
  return static_cast<std::int64_t>(now.total - now.free);
}

bool reads_batch(const Program& program, Section section) {
  return std::any_of(program.operations.begin(), program.operations.end(), [&](const Operation& op) {
    return op.section == section && std::any_of(op.ins.begin(), op.ins.end(), [&](const Operand& in) {
             return in.is_state() && program.state(in.state()).kind == StateKind::batch;
           });
  });
}

void require_size(const std::string& name, std::size_t given, std::int64_t size) {
  if (static_cast<std::int64_t>(given) != size)
    throw UsageError(name + ": " + std::to_string(given) + " bytes, must be " + std::to_string(size));
}

}  // namespace

struct CudaExecutor::Parts {
  const Program& program;
  const MemoryPlan& plan;
  const int card;
  SimulatedCard* const simulation;
  const std::int64_t taken_before;  // of the card, by whoever
  const HeldBytes held;
  Stream stream;
  MatmulLibrary matmuls;
  CudnnLibrary cudnn;
  CudaStates states;
  DeviceMemory arena;
  std::optional<PinnedMemory> host_arena;
  std::vector<std::vector<std::size_t>>
      awaited;  // by operation, and after the last: copies that are complete before it begins
  std::optional<HostCopies> copies;  // that run beside other work
  std::vector<CudaRun> runs;  // by operation
  std::array<std::size_t, 4> section_begins{};
  Observer* observer = nullptr;

  // The control block of the host. Its first half is the host's; results are the card's, and fetched when somebody looks.
  ControlBlock block;
  PinnedMemory staged{sizeof(ControlBlock)};  // on its way to the card, until `arrived`
  StreamMark arrived;
  bool results_on_card = false;  // newer than the block's
  bool results_on_host = true;  // may be newer than the card's

  BatchCopies batches{stream};
  std::optional<CapturedWork> first_graph, next_graph, update_graph;
  std::int64_t graph_bytes = 0;

  Parts(const Program& p, const MemoryPlan& memory_plan, int which_card, std::shared_ptr<const MatmulTuning> tuning,
        SimulatedCard* simulated)
      : program(p),
        plan(memory_plan),
        card(chosen(which_card)),
        simulation(simulated),
        taken_before(taken_bytes()),
        held(needed_bytes(p, memory_plan)),
        matmuls(std::move(tuning)),
        states((require_room(held.bytes()), p)),
        arena(static_cast<std::size_t>(std::max(memory_plan.arena_bytes, arena_alignment_bytes))),
        awaited(p.operations.size() + 1) {
    if (plan.host_arena_bytes > 0) host_arena.emplace(static_cast<std::size_t>(plan.host_arena_bytes));
    for (std::size_t i = 0; i < program.operations.size(); ++i)
      if (program.operations[i].runs_beside())
        awaited[static_cast<std::size_t>(program.operations[i].complete_before)].push_back(i);
    if (std::ranges::any_of(program.operations, &Operation::runs_beside)) copies.emplace(program.operations.size());
    for (const Operation& op : program.operations) ++section_begins[static_cast<std::size_t>(op.section) + 1];
    for (std::size_t s = 1; s < section_begins.size(); ++s) section_begins[s] += section_begins[s - 1];
    for (std::size_t i = 0; i < program.operations.size(); ++i) runs.push_back(bind(i));
    if (reads_batch(program, Section::update)) throw Unsupported("CUDA: an update that reads the batch");
  }
  ~Parts() { STEPSCOPE_CUDA_NOTHROW(cudaDeviceSynchronize()); }  // before its memory goes
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  [[nodiscard]] ControlBlock* control_on_card() const {
    return reinterpret_cast<ControlBlock*>(states.at(program.control));
  }
  [[nodiscard]] std::byte* address(ValueId id) const {
    const Placement& place = plan.placements[static_cast<std::size_t>(id.index)];
    return (place.memory == Memory::host ? host_arena->data() : arena.data()) + place.offset_bytes;
  }

  CudaRun bind(std::size_t index) {
    const Operation& op = program.operations[index];
    CudaBinding binding;
    binding.program = &program;
    binding.operation = &op;
    binding.control = control_on_card();
    binding.matmuls = &matmuls;
    binding.cudnn = &cudnn;
    for (const Operand& in : op.ins) {
      std::byte* base = in.is_value() ? address(in.value()) : states.at(in.state());
      binding.ins.push_back(base + in.view.offset * size_bytes(program.type(in).dtype));
    }
    for (const ValueId out : op.outs) binding.outs.push_back(address(out));
    for (const Write& write : op.writes) {
      const bool staged = write.is_staged();
      binding.writes.push_back(staged ? binding.outs[static_cast<std::size_t>(write.out)] : states.at(write.state));
      binding.held.push_back(staged ? binding.ins[static_cast<std::size_t>(write.in)] : states.at(write.state));
    }
    if (op.workspace_bytes > 0) binding.workspace = arena.data() + plan.workspace_offsets[index];
    CudaRun run = cuda_row_of(*op.kind).bind(binding);
    return simulation == nullptr ? run : told_of(op, std::move(run));
  }
  [[nodiscard]] CudaRun told_of(const Operation& op, CudaRun run) const {
    return [this, &op, run = std::move(run)](const CudaIssue& how) {
      simulation->operation_begins(program, op, how.first_micro_step ? 0 : 1);
      run(how);
      simulation->operation_ends();
    };
  }

  // Calls each(operation) for those of a section, in order.
  template <class Each>
  void walk(Section section, Each&& each) const {
    const auto s = static_cast<std::size_t>(section);
    for (std::size_t i = section_begins[s]; i < section_begins[s + 1]; ++i) each(i);
  }
  void issue(Section section, int micro_step) const {
    const CudaIssue how{stream.get(), micro_step == 0};
    const bool alone = observer != nullptr && observer->takes_times();  // then nothing runs beside what is timed
    walk(section, [&](std::size_t i) {
      if (!alone) await_copies(section, i);
      if (observer != nullptr) observer->operation_begins(static_cast<int>(i), micro_step);
      alone ? runs[i](how) : begin(i, how);
      if (observer == nullptr) return;
      if (alone) stream.synchronise();
      observer->operation_ends(static_cast<int>(i), micro_step);
    });
    if (!alone) await_copies(section, section_begins[static_cast<std::size_t>(section) + 1]);
  }
  // Those of the section: what one before it left was awaited where that ended, in another graph.
  void await_copies(Section section, std::size_t operation) const {
    for (const std::size_t copy : awaited[operation])
      if (program.operations[copy].section == section) copies->await(copy, stream);
  }
  void begin(std::size_t i, const CudaIssue& how) const {
    const Operation& op = program.operations[i];
    if (!op.runs_beside()) return runs[i](how);
    const auto run_on = [&](cudaStream_t link) { runs[i]({link, how.first_micro_step}); };
    copies->begin(run_on, i, op.kind == &copy_to_host_kind, stream);
  }
  void issue_first() const {
    issue(Section::prologue, 0);
    issue(Section::micro, 0);
  }
  void count_micro_step() const { launch(next_micro_step_kernel, 1, 1, 0, stream.get(), control_on_card()); }
  void issue_next(int micro_step) const {
    count_micro_step();
    issue(Section::micro, micro_step);
  }

  void capture() {
    first_graph.reset(), next_graph.reset(), update_graph.reset();
    const std::int64_t taken = taken_bytes();
    first_graph.emplace(stream, [&] { issue_first(); });
    if (program.micro_steps > 1) next_graph.emplace(stream, [&] { issue_next(1); });
    update_graph.emplace(stream, [&] { issue(Section::update, 0); });
    graph_bytes = taken_bytes() - taken;
  }

  void send_control(double learning_rate) {
    arrived.synchronise();  // what was staged before is on the card
    block.learning_rate = learning_rate;
    block.micro_step = 0;
    std::memcpy(staged.data(), &block, sizeof(block));
    const std::size_t bytes = results_on_host ? sizeof(block) : static_cast<std::size_t>(control_bytes);
    STEPSCOPE_CUDA(cudaMemcpyAsync(control_on_card(), staged.data(), bytes, cudaMemcpyHostToDevice, stream.get()));
    arrived.record(stream.get());
    results_on_host = false;
  }

  void clear(StateId id) const {
    const State& state = program.state(id);
    const auto bytes = static_cast<std::size_t>(state.type.size_bytes());
    if (state.memory == Memory::device) {
      STEPSCOPE_CUDA(cudaMemsetAsync(states.at(id), 0, bytes, stream.get()));
    } else {
      synchronise();
      std::memset(states.at(id), 0, bytes);
    }
  }

  void fetch_results() {
    if (!results_on_card) return;
    copy(&block.token_count, &control_on_card()->token_count, results_bytes, cudaMemcpyDeviceToHost);
    results_on_card = false;
  }

  [[nodiscard]] static cudaMemcpyKind way(Memory memory, cudaMemcpyKind on_card) {
    return memory == Memory::host ? cudaMemcpyHostToHost : on_card;
  }
  void copy(void* to, const void* from, std::int64_t bytes, cudaMemcpyKind kind) const {
    synchronise();
    STEPSCOPE_CUDA(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), kind));
  }

  void synchronise() const {
    stream.synchronise();
    batches.synchronise();
  }
  [[nodiscard]] std::vector<std::vector<std::byte>> read_states() const {
    std::vector<std::vector<std::byte>> saved;
    for (const DeviceMemory& memory : states.allocations()) {
      saved.emplace_back(memory.bytes());
      copy(saved.back().data(), memory.data(), std::ssize(saved.back()), cudaMemcpyDeviceToHost);
    }
    for (const PinnedMemory& memory : states.host_allocations())
      saved.emplace_back(memory.data(), memory.data() + memory.bytes());
    return saved;
  }
  void write_states(const std::vector<std::vector<std::byte>>& saved) const {
    const std::size_t on_card = states.allocations().size();
    for (std::size_t i = 0; i < on_card; ++i)
      copy(states.allocations()[i].data(), saved[i].data(), std::ssize(saved[i]), cudaMemcpyHostToDevice);
    for (std::size_t i = on_card; i < saved.size(); ++i)
      std::memcpy(states.host_allocations()[i - on_card].data(), saved[i].data(), saved[i].size());
  }

  void issue_step() const {
    const bool graphs = first_graph.has_value() && (observer == nullptr || !observer->sees_each_operation());
    batches.arrive(stream);
    graphs ? replay(*first_graph, 0) : issue_first();
    for (int m = 1; m < program.micro_steps; ++m) graphs ? replay(*next_graph, m) : issue_next(m);
    batches.was_read(stream);
    graphs ? replay(*update_graph, 0) : issue(Section::update, 0);
  }
  void replay(const CapturedWork& graph, int micro_step) const {
    if (observer != nullptr) observer->replay_begins(micro_step);
    graph.launch(stream);
    if (observer != nullptr) observer->replay_ends();
  }
};

CudaExecutor::CudaExecutor(const Program& program, const MemoryPlan& plan, Launch launch, int card,
                           std::shared_ptr<const MatmulTuning> tuning, SimulatedCard* simulation)
    : parts_(std::make_unique<Parts>(program, plan, card, std::move(tuning), simulation)) {
  parts_->block = ControlBlock{.loss_scale = program.initial_loss_scale};
  parts_->arrived.record(parts_->stream.get());
  if (launch == Launch::graph) parts_->capture();
}

CudaExecutor::~CudaExecutor() = default;

void CudaExecutor::initialise(std::uint64_t seed) {
  const Program& program = parts_->program;
  for (const StateKind kind : {StateKind::copy, StateKind::gradient, StateKind::moment})
    for (const StateId id : program.states_of(kind)) parts_->clear(id);
  if (computes()) initialise_parameters(seed);
  parts_->block = ControlBlock{.seed = seed, .loss_scale = program.initial_loss_scale};
  parts_->results_on_card = false;
  parts_->results_on_host = true;
}

void CudaExecutor::initialise_parameters(std::uint64_t seed) {
  const Program& program = parts_->program;
  for (const StateId id : program.states_of(StateKind::parameter)) {
    const State& state = program.state(id);
    if (state.type.dtype != DType::fp32) throw Unsupported("CUDA: parameters are fp32");
    std::vector<float> values(static_cast<std::size_t>(state.type.shape.elements()));
    fill_initial(values, state, seed);
    write(id, std::as_bytes(std::span(values)));
  }
}

void CudaExecutor::write(StateId state, std::span<const std::byte> bytes) {
  const State& s = parts_->program.state(state);
  require_size(s.name, bytes.size(), s.type.size_bytes());
  if (s.kind == StateKind::batch) return parts_->batches.send(parts_->states.at(state), state, bytes);
  parts_->copy(parts_->states.at(state), bytes.data(), s.type.size_bytes(),
               parts_->way(s.memory, cudaMemcpyHostToDevice));
}

void CudaExecutor::read(StateId state, std::span<std::byte> bytes) const {
  const State& s = parts_->program.state(state);
  require_size(s.name, bytes.size(), s.type.size_bytes());
  parts_->copy(bytes.data(), parts_->states.at(state), s.type.size_bytes(),
               parts_->way(s.memory, cudaMemcpyDeviceToHost));
}

void CudaExecutor::read(ValueId value, std::span<std::byte> bytes) const {
  const Value& v = parts_->program.value(value);
  require_size(v.name, bytes.size(), v.type.size_bytes());
  parts_->copy(bytes.data(), parts_->address(value), v.type.size_bytes(),
               parts_->way(v.memory, cudaMemcpyDeviceToHost));
}

// What the caller does to it reaches the card with the next step.
ControlBlock& CudaExecutor::control() {
  parts_->fetch_results();
  parts_->results_on_host = true;
  return parts_->block;
}

void CudaExecutor::observe(Observer* observer) {
  parts_->observer = observer;
  if (observer == nullptr || observer->sees_each_operation() || !parts_->first_graph) return;
  parts_->synchronise();  // before the graphs that run go
  parts_->capture();
}

void CudaExecutor::synchronise() const { parts_->synchronise(); }

bool CudaExecutor::mark_profile_window(bool opens) {
  parts_->synchronise();  // what was issued before belongs to the other side
  STEPSCOPE_CUDA(opens ? cudaProfilerStart() : cudaProfilerStop());
  return true;
}

void CudaExecutor::step(double learning_rate) {
  struct Seen {  // an observer learns of the end also when an exception leaves the step
    Observer* observer;
    explicit Seen(Observer* o) : observer(o) {
      if (observer != nullptr) observer->step_begins();
    }
    ~Seen() {
      if (observer != nullptr) observer->step_ends();
    }
  };
  if (parts_->observer != nullptr && parts_->observer->takes_times()) parts_->synchronise();
  {
    const Seen seen(parts_->observer);
    parts_->send_control(learning_rate);
    parts_->issue_step();
  }
  parts_->results_on_card = true;
  ++parts_->block.step;
}

std::optional<std::int64_t> CudaExecutor::device_reports_bytes() const { return taken_bytes(); }

std::int64_t CudaExecutor::graph_bytes() const { return parts_->graph_bytes; }

std::int64_t CudaExecutor::now_ns() const {
  return parts_->simulation != nullptr ? parts_->simulation->now_ns() : steady_ns();
}
bool CudaExecutor::computes() const { return parts_->simulation == nullptr || parts_->simulation->computes(); }

// Where no byte is touched: what the card has handed out for this executor, by its own count.
Executor::UsedBytes CudaExecutor::handed_out_bytes() const {
  UsedBytes used;
  for (const DeviceMemory& memory : parts_->states.allocations())
    used.states += static_cast<std::int64_t>(memory.bytes());
  used.arena = taken_bytes() - parts_->taken_before - used.states;
  for (const PinnedMemory& memory : parts_->states.host_allocations())
    used.host_states += static_cast<std::int64_t>(memory.bytes());
  if (parts_->host_arena) used.host_arena = static_cast<std::int64_t>(parts_->host_arena->bytes());
  return used;
}

// Two steps over poisoned memory, operation by operation; the states are held by the host meanwhile.
Executor::UsedBytes CudaExecutor::measure_used_bytes(double learning_rate) {
  if (!computes()) return handed_out_bytes();
  Parts& p = *parts_;
  const ControlBlock kept = control();
  const std::vector<std::vector<std::byte>> saved = p.read_states();
  const auto restore = [&] {
    p.write_states(saved);
    control() = kept;
  };
  CudaStepMemory memory(p.stream, p.arena.data(), p.host_arena ? p.host_arena->data() : nullptr, p.states);
  TouchedBytes touched(p.program, p.plan, memory);
  for (const std::byte pattern : poison_patterns) {
    restore();
    touched.begin_step(pattern);
    p.send_control(learning_rate);
    const auto section = [&](Section which, int micro_step) {
      p.walk(which, [&](std::size_t i) {
        touched.before(static_cast<int>(i), pattern);
        p.runs[i]({p.stream.get(), micro_step == 0});
        touched.after(static_cast<int>(i), pattern);
      });
    };
    section(Section::prologue, 0);
    for (int m = 0; m < p.program.micro_steps; ++m) {
      if (m > 0) p.count_micro_step();
      section(Section::micro, m);
    }
    section(Section::update, 0);
    p.results_on_card = true;
    touched.end_step(pattern, control().loss_sum);
  }
  restore();
  return touched.conclude();
}

std::unique_ptr<Executor> make_cuda_executor(const Program& program, const MemoryPlan& plan, const Machine& machine,
                                             const CardOptions& options) {
  return std::make_unique<CudaExecutor>(program, plan,
                                        options.eager ? CudaExecutor::Launch::eager : CudaExecutor::Launch::graph,
                                        machine.card, options.tuning, machine.simulation);
}

}  // namespace stepscope
