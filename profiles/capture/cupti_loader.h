// CUPTI's library is loaded at its first call. Where it cannot be, each of its functions returns CUPTI_ERROR_NOT_INITIALIZED.
#pragma once

#include <string>

namespace stepscope {

[[nodiscard]] std::string why_cupti_is_missing();  // the loader's words; "" where it was loaded. Loads it.

}  // namespace stepscope
