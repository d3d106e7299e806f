// The build that this test program is of: told at run time, so that its objects may be linked with a sanitized program too.
#pragma once

#include <filesystem>
#include <string>

extern "C" {
void __asan_init() __attribute__((weak));
void __tsan_init() __attribute__((weak));
}

namespace stepscope {

// Where this test program lies; `stepscope` lies beside it.
inline std::string build_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

inline bool is_sanitized() { return &__asan_init != nullptr || &__tsan_init != nullptr; }

}  // namespace stepscope
