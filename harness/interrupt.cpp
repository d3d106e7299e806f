#include "harness/interrupt.h"

#include <csignal>

namespace stepscope {

namespace {
volatile std::sig_atomic_t seen = 0;
}

void watch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { seen = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return seen != 0; }

}  // namespace stepscope
