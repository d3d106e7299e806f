// Memory that a profiler writes its records into: some made beforehand, all zeroed, handed back as they came. Threads may call at once.
//     RecordBuffers buffers;   std::uint8_t* next = buffers.take();   buffers.give_back(next, valid_bytes);
//     for (const RecordBuffers::Full& full : buffers.take_full()) add_records(activity, full.bytes.get(), full.valid_bytes);
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace stepscope {

class RecordBuffers {
 public:
  struct Release {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  using Bytes = std::unique_ptr<std::uint8_t[], Release>;
  struct Full {
    Bytes bytes;
    std::size_t valid_bytes = 0;
  };
  static constexpr std::size_t buffer_bytes = std::size_t{4} << 20;  // as CUPTI's guide recommends: 1 to 10 MB

  explicit RecordBuffers(int beforehand = 8) {
    for (int i = 0; i < beforehand; ++i) free_.push_back(zeroed());
  }

  [[nodiscard]] std::uint8_t*
  take() {  // null where there is no memory: the profiler then drops records, and counts them
    const std::lock_guard lock(mutex_);
    Bytes next;
    if (!free_.empty()) {
      next = std::move(free_.back());
      free_.pop_back();
    } else {
      next = zeroed();
    }
    std::uint8_t* const at = next.get();
    if (at != nullptr) taken_[at] = std::move(next);
    return at;
  }

  void give_back(std::uint8_t* buffer, std::size_t valid_bytes) {
    const std::lock_guard lock(mutex_);
    const auto place = taken_.find(buffer);
    if (place == taken_.end()) return;
    if (valid_bytes > 0) {
      full_.push_back({std::move(place->second), valid_bytes});
    } else {
      free_.push_back(std::move(place->second));
    }
    taken_.erase(place);
  }

  [[nodiscard]] std::vector<Full> take_full() {
    const std::lock_guard lock(mutex_);
    return std::exchange(full_, {});
  }

 private:
  // By calloc: pages that are zero already are not written.
  static Bytes zeroed() { return Bytes(static_cast<std::uint8_t*>(std::calloc(1, buffer_bytes))); }

  std::mutex mutex_;
  std::vector<Bytes> free_;
  std::map<std::uint8_t*, Bytes> taken_;
  std::vector<Full> full_;
};

}  // namespace stepscope
