// Marks the time a thread spends inside a library that allocates on its own account (oneDNN builds a small argument map in
// every execute), so that the test which forbids allocations in a step can leave exactly those out.
//     { const LibraryGuard guard; dnnl_primitive_execute(...); }
//     void* operator new(std::size_t n) { if (in_step && !inside_library()) std::abort(); ... }     // the test's
#pragma once

namespace stepscope {

namespace library_guard_detail {
inline thread_local int depth = 0;
}

[[nodiscard]] inline bool inside_library() { return library_guard_detail::depth > 0; }

class LibraryGuard {
 public:
  LibraryGuard() { ++library_guard_detail::depth; }
  ~LibraryGuard() { --library_guard_detail::depth; }
  LibraryGuard(const LibraryGuard&) = delete;
  LibraryGuard& operator=(const LibraryGuard&) = delete;
};

}  // namespace stepscope
