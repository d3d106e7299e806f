// A tool at NVTX's injection point, as a shared library: writes what a program sends, a JSON object a line, to the file that
// STEPSCOPE_RECORD names. A program loads it where NVTX_INJECTION64_PATH names it.
//     {"event": "push", "domain": "stepscope", "name": "linear", "registered": true, "category": "forward", "flops": 8, "bytes": 12}
// STEPSCOPE_RECORD_SCHEMAS=no: as a tool that knows no payload schemas; a range then has one number, "payload".
#define NVTX_NO_IMPL
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>

namespace {

struct Domain {
  std::string name;
  std::map<std::uint32_t, std::string> categories;
};

struct Schema {
  std::string flops, bytes;  // the names that the program gave its two numbers
};

std::FILE* file = nullptr;
Schema schema;
std::deque<Domain> domains;  // as long as the process; what they hold stays where it is
std::deque<std::string> strings;
constexpr std::uint64_t schema_id = 77;

const Domain& of(nvtxDomainHandle_t handle) { return *reinterpret_cast<const Domain*>(handle); }

nvtxDomainHandle_t NVTX_API domain_create(const char* name) {
  std::fprintf(file,
               R"({"event": "domain", "domain": "%s"})"
               "\n",
               name);
  return reinterpret_cast<nvtxDomainHandle_t>(&domains.emplace_back(Domain{name, {}}));
}

nvtxStringHandle_t NVTX_API register_string(nvtxDomainHandle_t domain, const char* text) {
  std::fprintf(file,
               R"({"event": "string", "domain": "%s", "name": "%s"})"
               "\n",
               of(domain).name.c_str(), text);
  return reinterpret_cast<nvtxStringHandle_t>(&strings.emplace_back(text));
}

void NVTX_API name_category(nvtxDomainHandle_t domain, std::uint32_t id, const char* name) {
  reinterpret_cast<Domain*>(domain)->categories[id] = name;
}

std::string payload_of(const nvtxEventAttributes_t& event) {
  if (event.payloadType == NVTX_PAYLOAD_TYPE_UNSIGNED_INT64)
    return ", \"payload\": " + std::to_string(event.payload.ullValue);
  if (event.payloadType != NVTX_PAYLOAD_TYPE_EXT || event.reserved0 != 1) return "";
  const auto& data = *reinterpret_cast<const nvtxPayloadData_t*>(event.payload.ullValue);
  std::uint64_t numbers[2];
  if (data.schemaId != schema_id || data.size != sizeof numbers) return "";
  std::memcpy(numbers, data.payload, sizeof numbers);
  return ", \"" + schema.flops + "\": " + std::to_string(numbers[0]) + ", \"" + schema.bytes +
         "\": " + std::to_string(numbers[1]);
}

int NVTX_API push(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  const bool registered = event->messageType == NVTX_MESSAGE_TYPE_REGISTERED;
  const std::string name = registered ? *reinterpret_cast<const std::string*>(event->message.registered) : "";
  const auto category = of(domain).categories.find(event->category);
  std::fprintf(file,
               R"({"event": "push", "domain": "%s", "name": "%s", "registered": %s, "category": "%s"%s})"
               "\n",
               of(domain).name.c_str(), name.c_str(), registered ? "true" : "false",
               category == of(domain).categories.end() ? "" : category->second.c_str(), payload_of(*event).c_str());
  return 0;
}

int NVTX_API pop(nvtxDomainHandle_t domain) {
  std::fprintf(file,
               R"({"event": "pop", "domain": "%s"})"
               "\n",
               of(domain).name.c_str());
  return 0;
}

std::uint64_t NVTX_API register_schema(nvtxDomainHandle_t, const nvtxPayloadSchemaAttr_t* attributes) {
  if (attributes->type != NVTX_PAYLOAD_SCHEMA_TYPE_STATIC || attributes->numEntries != 2) return 0;
  for (int e = 0; e < 2; ++e)
    if (attributes->entries[e].type != NVTX_PAYLOAD_ENTRY_TYPE_UINT64 ||
        attributes->entries[e].offset != static_cast<std::uint64_t>(8 * e))
      return 0;
  schema = {attributes->entries[0].name, attributes->entries[1].name};
  return schema_id;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) int InitializeInjectionNvtx2(NvtxGetExportTableFunc_t exports) {
  const char* path = std::getenv("STEPSCOPE_RECORD");
  file = path == nullptr ? nullptr : std::fopen(path, "w");
  const auto* table = static_cast<const NvtxExportTableCallbacks*>(exports(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable functions = nullptr;
  unsigned int count = 0;
  if (file == nullptr || table == nullptr) return 0;
  if (table->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &functions, &count) == 0) return 0;
  const auto set = [&](unsigned int id, auto* function) {
    if (id < count) *functions[id] = reinterpret_cast<NvtxFunctionPointer>(function);
  };
  set(NVTX_CBID_CORE2_DomainCreateA, domain_create);
  set(NVTX_CBID_CORE2_DomainRegisterStringA, register_string);
  set(NVTX_CBID_CORE2_DomainNameCategoryA, name_category);
  set(NVTX_CBID_CORE2_DomainRangePushEx, push);
  set(NVTX_CBID_CORE2_DomainRangePop, pop);
  return 1;
}

__attribute__((visibility("default"))) int InitializeInjectionNvtxExtension(nvtxExtModuleInfo_t* module) {
  const char* schemas = std::getenv("STEPSCOPE_RECORD_SCHEMAS");
  if (module->moduleId != NVTX_EXT_PAYLOAD_MODULEID || (schemas != nullptr && std::strcmp(schemas, "no") == 0))
    return 0;
  module->segments->functionSlots[NVTX3EXT_CBID_nvtxPayloadSchemaRegister] =
      reinterpret_cast<std::intptr_t>(register_schema);
  return 1;
}

}  // extern "C"
