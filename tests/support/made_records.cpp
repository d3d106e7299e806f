#include "tests/support/made_records.h"

#include <algorithm>
#include <cstring>

#include "model/program/operation.h"
#include "profiles/capture/cupti_records.h"

namespace stepscope::testing {

namespace {

constexpr std::uint32_t compute_stream = 7, other_stream = 13;

}  // namespace

MadeRecords::MadeRecords(const Program& program, const RecordSetting& setting)
    : program_(program), setting_(setting), random_(setting.seed) {
  correlation_ = static_cast<std::uint32_t>(1 + some(1 << 20));
  for (int i = 0; i < 20; ++i)
    names_.push_back("_Z" + std::to_string(3 + i % 7) + std::string(3 + i % 7, 'k') + "PfS_");
  for (int step = 0; step < setting_.steps; ++step) run_step(step);
}

std::uint32_t MadeRecords::launch(std::uint64_t owner, bool owned) {
  correlation_ += static_cast<std::uint32_t>(1 + some(3));
  CUpti_ActivityAPI call{};
  call.kind = some(1) == 0 ? CUPTI_ACTIVITY_KIND_RUNTIME : CUPTI_ACTIVITY_KIND_DRIVER;
  call.cbid = 211;
  call.start = static_cast<std::uint64_t>(now_ns_ - some(900));
  call.end = call.start + 10;
  call.correlationId = correlation_;
  records.push_back(record_of(call));
  if (owned) {
    CUpti_ActivityExternalCorrelation said{};
    said.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
    said.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0;
    said.externalId = owner;
    said.correlationId = correlation_;
    records.push_back(record_of(said));
    said.externalKind = CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM1;  // of somebody else
    said.externalId = packed({.step = 0, .operation = 0});
    records.push_back(record_of(said));
  }
  return correlation_;
}

void MadeRecords::add_work(bool kernel, std::uint32_t stream, std::int64_t begin_ns, std::int64_t end_ns,
                           std::uint32_t correlation, std::uint64_t node) {
  const auto fill = [&](auto record) {
    record.start = static_cast<std::uint64_t>(begin_ns);
    record.end = static_cast<std::uint64_t>(end_ns);
    record.streamId = stream;
    record.correlationId = correlation;
    record.graphNodeId = node;
    return record;
  };
  if (kernel) {
    CUpti_ActivityKernel10 record{};
    record.kind = some(3) == 0 ? CUPTI_ACTIVITY_KIND_KERNEL : CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
    record.name = names_[static_cast<std::size_t>(some(std::ssize(names_) - 1))].c_str();
    records.push_back(record_of(fill(record)));
  } else if (some(1) == 0) {
    CUpti_ActivityMemcpy6 record{};
    record.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
    record.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_DTOD;
    record.bytes = static_cast<std::uint64_t>(some(1 << 20));
    records.push_back(record_of(fill(record)));
  } else {
    CUpti_ActivityMemset4 record{};
    record.kind = CUPTI_ACTIVITY_KIND_MEMSET;
    record.bytes = 64;
    records.push_back(record_of(fill(record)));
  }
  busy.back().emplace_back(begin_ns, end_ns);
}

void MadeRecords::count(int operation, std::int64_t ns, bool owned) {
  if (!owned) {
    unowned_ns += ns;
    expected_ns[{"between", "", "unknown"}] += ns;
    return;
  }
  if (operation < 0) {
    expected_ns[{"between", "", "step control"}] += ns;
    return;
  }
  const Operation& op = program_.operations[static_cast<std::size_t>(operation)];
  expected_ns[{std::string(name_of(op.phase)), program_.site(op.site).path, std::string(op.kind->name)}] += ns;
}

// correlation 0: each kernel is launched by itself.
void MadeRecords::run_operation(int operation, int micro_step, std::uint32_t correlation, bool owned) {
  const int step = static_cast<int>(busy.size()) - 1;
  const Section section = program_.operations[static_cast<std::size_t>(operation)].section;
  const int graph = section == Section::update ? 2 : std::min(micro_step, 1);
  const int kernels = setting_.graphs ? 1 + operation % 2 : static_cast<int>(some(3));
  for (int k = 0; k < kernels; ++k) {
    const bool second = setting_.two_streams && operation % 3 == 0 && k == 0;
    std::uint64_t node = 0;
    bool known = owned;
    if (setting_.graphs) {
      std::uint64_t& id = node_of_[{graph, operation, k}];
      if (id == 0) {
        id = static_cast<std::uint64_t>(some(1 << 30)) << 20 | node_of_.size();
        owner_of_node[id] = packed({.micro_step = std::min(micro_step, 1), .operation = operation});
      }
      node = id;
    } else {
      known = std::uniform_real_distribution(0., 1.)(random_) >= setting_.unowned;
      correlation = launch(packed({.step = step, .micro_step = micro_step, .operation = operation}), known);
    }
    const std::int64_t begin_ns = now_ns_ + some(400), ns = some(operation % 3 == 0 ? 40'000 : 900);
    add_work(!second && some(5) > 0, second ? other_stream : compute_stream, begin_ns, begin_ns + ns, correlation,
             node);
    count(operation, ns, known);
    if (!second) now_ns_ = begin_ns + ns;
  }
}

void MadeRecords::run_step(int step) {
  busy.emplace_back();
  steps.push_back({now_ns_, now_ns_});
  const auto owner_of_launch = [&](int micro_step) { return packed({.step = step, .micro_step = micro_step}); };
  const auto run = [&](Section section, int micro_step, std::uint32_t correlation) {
    for (int i = 0; i < static_cast<int>(program_.operations.size()); ++i)
      if (program_.operations[static_cast<std::size_t>(i)].section == section)
        run_operation(i, micro_step, correlation, true);
  };
  const auto launch_if_graph = [&](int micro_step) {
    return setting_.graphs ? launch(owner_of_launch(micro_step), true) : 0U;
  };
  const std::uint32_t control = launch(owner_of_launch(0), true);
  add_work(false, compute_stream, now_ns_, now_ns_ + 70, control, 0);
  count(-1, 70, true);
  now_ns_ += 70;
  std::uint32_t correlation = launch_if_graph(0);
  run(Section::prologue, 0, correlation);
  for (int m = 0; m < program_.micro_steps; ++m) {
    if (m > 0) correlation = launch_if_graph(m);
    run(Section::micro, m, correlation);
  }
  correlation = launch_if_graph(0);
  run(Section::update, 0, correlation);
  for (const auto& [begin_ns, end_ns] : busy.back()) now_ns_ = std::max(now_ns_, end_ns);
  steps.back().end_ns = now_ns_ + (step % 2 == 0 ? some(5000) : -60);  // the host may be done issuing earlier
  now_ns_ += 1'000'000;
}

DeviceActivity MadeRecords::activity(std::uint64_t order, std::size_t cut) const {
  std::mt19937_64 random(order);
  std::vector<const Record*> shuffled;
  for (const Record& record : records) shuffled.push_back(&record);
  std::shuffle(shuffled.begin(), shuffled.end(), random);
  std::vector<std::vector<const Record*>> buffers;
  for (const Record* record : shuffled) {
    if (buffers.empty() || buffers.back().size() >= std::uniform_int_distribution<std::size_t>(1, 400)(random))
      buffers.emplace_back();
    buffers.back().push_back(record);
  }
  DeviceActivity activity;
  for (const std::vector<const Record*>& buffer : buffers) {
    std::size_t bytes = 0;
    for (const Record* record : buffer) bytes += record->size();
    std::vector<std::uint64_t> memory(bytes / 8 + 1);  // as aligned as CUPTI wants it
    auto* const begin = reinterpret_cast<std::uint8_t*>(memory.data());
    std::size_t at = 0;
    for (const Record* record : buffer) {
      std::memcpy(begin + at, record->data(), record->size());
      at += record->size();
    }
    add_records(activity, begin, &buffer == &buffers.back() ? bytes - std::min(cut, bytes) : bytes);
  }
  for (const auto& [node, owner] : owner_of_node) activity.owner_of_node[node] = owner;
  return activity;
}

}  // namespace stepscope::testing
