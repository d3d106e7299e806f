// What CUPTI's stand-in knows of its client: cupti.cpp lets it be told, cupti_records.cpp tells it.
#pragma once

#include <cupti.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/host_simt/simulation.cuh"

namespace stepscope::host_simt {

struct Client {
  CUpti_BuffersCallbackRequestFunc requested = nullptr;
  CUpti_BuffersCallbackCompleteFunc completed = nullptr;
  std::set<CUpti_ActivityKind> kinds;
  std::set<std::pair<CUpti_ActivityKind, CUpti_CallbackId>> calls;  // told one by one, where their kind is not on
  std::set<std::pair<CUpti_ActivityKind, CUpti_CallbackId>> calls_off;
  std::map<CUpti_ExternalCorrelationKind, std::vector<std::uint64_t>> external;
  std::map<CUpti_ActivityAttribute, std::vector<char>> attributes;
  std::uint8_t* buffer = nullptr;
  std::size_t bytes = 0, used = 0, most_records = 0, records = 0, dropped = 0;
  CUpti_CallbackFunc callback = nullptr;
  void* user = nullptr;
  std::set<CUpti_CallbackDomain> domains;
  std::set<std::pair<CUpti_CallbackDomain, CUpti_CallbackId>> callbacks;
};

[[nodiscard]] Client& client();

[[nodiscard]] inline bool on(CUpti_ActivityKind kind) {
  return simulation() != nullptr && client().kinds.contains(kind);
}
void complete_buffer();  // to the client, where one is begun
void put_overhead(std::int64_t start_ns, std::int64_t end_ns);  // of flushing buffers

}  // namespace stepscope::host_simt
