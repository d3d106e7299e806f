// A capture that tests feed: it hands out what it was given and remembers whose work was said to be issued.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "profiles/capture/capture.h"

namespace stepscope::testing {

class FakeCapture final : public Capture {
 public:
  void push(std::uint64_t owner) override { owners.push_back(owner); }
  void pop() override { owners.pop_back(); }
  std::string trace_work() override {
    traces = refusal.empty();
    return refusal;
  }
  DeviceActivity stop(const std::function<void()>& wait) override {
    wait();
    return std::exchange(activity, {});
  }

  // What the innermost owner is now; a test's stand-in for a launch.
  [[nodiscard]] WorkOwner owner() const { return *unpacked(owners.back()); }

  std::vector<std::uint64_t> owners;
  DeviceActivity activity;
  std::string refusal;
  bool traces = false;
};

}  // namespace stepscope::testing
