#include "profiles/ranges.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "profiles/nesting.h"

#if STEPSCOPE_NVTX
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>
#endif

namespace stepscope {

#if STEPSCOPE_NVTX

namespace {

struct Work {  // as the schema describes it
  std::uint64_t flops, bytes;
};

// One for the process: a tool shows a row a domain. Null where no tool is attached, then all else is left out too.
nvtxDomainHandle_t domain() {
  static const nvtxDomainHandle_t handle = nvtxDomainCreateA("stepscope");
  return handle;
}

std::uint64_t work_schema() {  // 0 where the tool knows none
  static const std::uint64_t id = [] {
    std::array<nvtxPayloadSchemaEntry_t, 2> entries{};
    entries[0].type = entries[1].type = NVTX_PAYLOAD_ENTRY_TYPE_UINT64;
    entries[0].name = "FLOPs";
    entries[1].name = "bytes";
    entries[1].offset = offsetof(Work, bytes);
    nvtxPayloadSchemaAttr_t schema{};
    schema.fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NAME | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE |
                       NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES |
                       NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE;
    schema.name = "work";
    schema.type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC;
    schema.entries = entries.data();
    schema.numEntries = entries.size();
    schema.payloadStaticSize = sizeof(Work);
    return nvtxPayloadSchemaRegister(domain(), &schema);
  }();
  return id;
}

struct Category {
  std::uint32_t id, colour;  // as the report draws it
};

Category category_of(const NestedRange& range) {  // 0 is a tool's "none"
  if (range.level == NestedRange::Level::step || range.level == NestedRange::Level::micro_step) return {1, 0xFF7F7F7F};
  static constexpr std::array<std::uint32_t, 5> colours{0xFFA39B4E, 0xFF3D9B8F, 0xFFC4566C, 0xFF5A5BB0, 0xFFC9A53B};
  const auto phase = static_cast<std::uint32_t>(range.phase);
  return {2 + phase, colours[phase]};
}

void name_categories() {
  static const bool named = [] {
    nvtxDomainNameCategoryA(domain(), 1, "step");
    for (const Phase phase : {Phase::prologue, Phase::forward, Phase::recompute, Phase::backward, Phase::update})
      nvtxDomainNameCategoryA(domain(), 2 + static_cast<std::uint32_t>(phase), std::string(name_of(phase)).c_str());
    return true;
  }();
  static_cast<void>(named);
}

}  // namespace

struct Ranges::Parts {
  struct Sent {
    Work work{};
    nvtxPayloadData_t payload{};
    nvtxEventAttributes_t attributes{};
  };

  explicit Parts(const Program& program) : nesting(nesting_of(program)) {
    name_categories();
    for (std::vector<Sent>& list : ranges) list.resize(nesting.ranges.size());
    for (std::size_t r = 0; r < nesting.ranges.size(); ++r) {
      const NestedRange& range = nesting.ranges[r];
      if (range.level == NestedRange::Level::micro_step) {
        micro_range = static_cast<int>(r);
        micro_steps.resize(static_cast<std::size_t>(program.micro_steps));
        for (int m = 0; m < program.micro_steps; ++m)
          fill(micro_steps[static_cast<std::size_t>(m)], range, m, fmt::format("{} {}", range.name, m));
      } else {
        for (const int m : {0, 1}) fill(ranges[static_cast<std::size_t>(m)][r], range, m, range.name);
      }
    }
  }

  nvtxStringHandle_t registered(const std::string& name) {
    const auto [place, fresh] = names.try_emplace(name, nullptr);
    if (fresh) place->second = nvtxDomainRegisterStringA(domain(), name.c_str());
    return place->second;
  }

  // In its place for good: attributes point at their payload.
  void fill(Sent& sent, const NestedRange& range, int micro_step, const std::string& name) {
    sent.work = {static_cast<std::uint64_t>(range.flops), static_cast<std::uint64_t>(range.bytes(micro_step))};
    nvtxEventAttributes_t& a = sent.attributes;
    a.version = NVTX_VERSION;
    a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
    const Category category = category_of(range);
    a.category = category.id;
    a.colorType = NVTX_COLOR_ARGB;
    a.color = category.colour;
    a.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    a.message.registered = registered(name);
    if (work_schema() != 0) {
      NVTX_PAYLOAD_EVTATTR_SET_DATA(a, &sent.payload, work_schema(), &sent.work, sizeof(Work));
    } else {
      a.payloadType = NVTX_PAYLOAD_TYPE_UNSIGNED_INT64;
      a.payload.ullValue = sent.work.bytes;
    }
  }

  void push(const Sent& sent) {
    nvtxDomainRangePushEx(domain(), &sent.attributes);
    ++depth;
  }
  void pop(int count) {
    for (; count > 0; --count, --depth) nvtxDomainRangePop(domain());
  }

  const Nesting nesting;
  std::map<std::string, nvtxStringHandle_t> names;
  std::array<std::vector<Sent>, 2> ranges;  // by range of the nesting: in micro-step 0, and in those after it
  std::vector<Sent> micro_steps;  // in the place of micro_range
  int micro_range = -1;
  int depth = 0;
};

Ranges::Ranges(const Program& program) {
  if (domain() != nullptr) parts_ = std::make_unique<Parts>(program);
}

Ranges::~Ranges() = default;

bool Ranges::built() { return true; }

void Ranges::step_begins() {
  if (parts_ != nullptr) parts_->push(parts_->ranges[0].front());
}

void Ranges::operation_begins(int operation, int micro_step) {
  if (parts_ == nullptr) return;
  const auto i = static_cast<std::size_t>(operation);
  const std::vector<Parts::Sent>& ranges = parts_->ranges[micro_step == 0 ? 0 : 1];
  for (int r = parts_->nesting.first_opened[i]; r < parts_->nesting.first_opened[i + 1]; ++r)
    parts_->push(r == parts_->micro_range ? parts_->micro_steps[static_cast<std::size_t>(micro_step)]
                                          : ranges[static_cast<std::size_t>(r)]);
}

void Ranges::operation_ends(int operation, int) {
  if (parts_ != nullptr) parts_->pop(parts_->nesting.closes_after[static_cast<std::size_t>(operation)]);
}

void Ranges::step_ends() {
  if (parts_ != nullptr) parts_->pop(parts_->depth);
}

#else

struct Ranges::Parts {};
Ranges::Ranges(const Program&) {}
Ranges::~Ranges() = default;
bool Ranges::built() { return false; }
void Ranges::step_begins() {}
void Ranges::operation_begins(int, int) {}
void Ranges::operation_ends(int, int) {}
void Ranges::step_ends() {}

#endif

}  // namespace stepscope
