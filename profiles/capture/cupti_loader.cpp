// CUPTI under its own names, loaded when its first function is called: the program starts where the library is not installed. Each is weak,
// so that a stand-in of tests may take its place. A function that is called in this folder and is not here does not link.
#include "profiles/capture/cupti_loader.h"

#include <cupti.h>
#include <dlfcn.h>

namespace stepscope {

namespace {

constexpr const char* cupti_file = "libcupti.so.13";  // of CUDA 13, as the records that are read

struct CuptiLibrary {
  void* handle = dlopen(cupti_file, RTLD_NOW | RTLD_LOCAL);
  std::string why = handle == nullptr ? dlerror() : "";
};

const CuptiLibrary& cupti() {
  static const CuptiLibrary one;
  return one;
}

template <class Function>
Function* cupti_entry(const char* name) {
  return cupti().handle == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(cupti().handle, name));
}

}  // namespace

std::string why_cupti_is_missing() { return cupti().why; }

}  // namespace stepscope

#define STEPSCOPE_CUPTI_FORWARD(name, parameters, arguments)                       \
  __attribute__((weak)) CUptiResult CUPTIAPI name parameters {                     \
    static auto* const function = stepscope::cupti_entry<decltype(name)>(#name);   \
    return function == nullptr ? CUPTI_ERROR_NOT_INITIALIZED : function arguments; \
  }

extern "C" {
STEPSCOPE_CUPTI_FORWARD(cuptiGetVersion, (uint32_t * version), (version))
STEPSCOPE_CUPTI_FORWARD(cuptiGetResultString, (CUptiResult result, const char** text), (result, text))
STEPSCOPE_CUPTI_FORWARD(cuptiGetCallbackName, (CUpti_CallbackDomain domain, uint32_t callback, const char** name),
                        (domain, callback, name))
STEPSCOPE_CUPTI_FORWARD(cuptiSubscribe_v2,
                        (CUpti_SubscriberHandle * subscriber, CUpti_CallbackFunc callback, void* data,
                         CUpti_SubscriberParams* parameters),
                        (subscriber, callback, data, parameters))
STEPSCOPE_CUPTI_FORWARD(cuptiUnsubscribe, (CUpti_SubscriberHandle subscriber), (subscriber))
STEPSCOPE_CUPTI_FORWARD(cuptiEnableCallback,
                        (uint32_t enable, CUpti_SubscriberHandle subscriber, CUpti_CallbackDomain domain,
                         CUpti_CallbackId callback),
                        (enable, subscriber, domain, callback))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityRegisterTimestampCallback, (CUpti_TimestampCallbackFunc callback), (callback))
STEPSCOPE_CUPTI_FORWARD(cuptiActivitySetAttribute, (CUpti_ActivityAttribute attribute, size_t* size, void* value),
                        (attribute, size, value))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityRegisterCallbacks,
                        (CUpti_BuffersCallbackRequestFunc requested, CUpti_BuffersCallbackCompleteFunc completed),
                        (requested, completed))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityEnable, (CUpti_ActivityKind kind), (kind))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityDisable, (CUpti_ActivityKind kind), (kind))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityEnableRuntimeApi, (CUpti_CallbackId callback, uint8_t enable), (callback, enable))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityEnableDriverApi, (CUpti_CallbackId callback, uint8_t enable), (callback, enable))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityFlushAll, (uint32_t flag), (flag))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityGetNextRecord, (uint8_t * buffer, size_t valid_bytes, CUpti_Activity** record),
                        (buffer, valid_bytes, record))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityGetNumDroppedRecords, (CUcontext context, uint32_t stream, size_t* dropped),
                        (context, stream, dropped))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityPushExternalCorrelationId, (CUpti_ExternalCorrelationKind kind, uint64_t id),
                        (kind, id))
STEPSCOPE_CUPTI_FORWARD(cuptiActivityPopExternalCorrelationId, (CUpti_ExternalCorrelationKind kind, uint64_t* last),
                        (kind, last))
STEPSCOPE_CUPTI_FORWARD(cuptiGetGraphNodeId, (CUgraphNode node, uint64_t* id), (node, id))
}
