// Ctrl-C (and SIGTERM) as a question asked between steps, so that what runs can save first. A second Ctrl-C ends the process at once.
//     watch_interrupts();   while (!interrupted()) step();
#pragma once

namespace stepscope {

inline constexpr int interrupted_status = 130;

void watch_interrupts();
[[nodiscard]] bool interrupted();

}  // namespace stepscope
