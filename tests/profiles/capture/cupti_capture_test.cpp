// The session itself, with the stand-in for CUPTI (tests/support/host_simt) where it is linked, else with the real library, which has no card.
#include <cupti.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "profiles/capture/capture.h"

namespace stepscope {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

TEST(CuptiCapture, stays_silent_beside_another_profiler_and_names_it) {
  CUpti_SubscriberParams parameters{};
  parameters.structSize = CUpti_SubscriberParams_STRUCT_SIZE;
  parameters.subscriberName = "another";
  CUpti_SubscriberHandle other = nullptr;
  if (cuptiSubscribe_v2(
          &other, [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}, nullptr, &parameters) !=
      CUPTI_SUCCESS)
    GTEST_SKIP() << "no host SIMT, and no card";
  const CaptureStart start = start_capture();
  EXPECT_EQ(start.capture, nullptr);
  EXPECT_THAT(start.refusal, AnyOf(HasSubstr("external profiler: CUPTI for another"), HasSubstr("one session")));
  EXPECT_EQ(cuptiUnsubscribe(other), CUPTI_SUCCESS);
}

TEST(CuptiCapture, is_had_once_or_says_why_not) {
  const CaptureStart first = start_capture();
  EXPECT_EQ(first.capture == nullptr, !first.refusal.empty());
  const CaptureStart second = start_capture();
  EXPECT_EQ(second.capture, nullptr);
  EXPECT_THAT(second.refusal, first.capture != nullptr ? HasSubstr("one session a process") : HasSubstr("CUPTI"));
  if (first.capture == nullptr) return;
  int waited = 0;
  first.capture->push(packed({.step = 0}));
  EXPECT_EQ(first.capture->trace_work(), "");
  const DeviceActivity activity = first.capture->stop([&] { ++waited; });
  EXPECT_EQ(waited, 1);
  EXPECT_TRUE(activity.work.empty());  // nothing ran
  EXPECT_TRUE(first.capture->stop([&] { ++waited; }).calls.empty());
  EXPECT_EQ(waited, 1);
}

}  // namespace
}  // namespace stepscope
