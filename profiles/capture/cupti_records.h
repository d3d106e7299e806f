// CUPTI's buffers of activity records, read into plain data. Needs no driver: tests hand in buffers of their own.
//     add_records(activity, buffer, valid_bytes);         // in any order of buffers, and of records within them
// Source: cupti_activity.h of CUDA 13.0; records of the same base only grow at their ends.
#pragma once

#include <cstddef>
#include <cstdint>

#include "profiles/device_activity.h"

namespace stepscope {

// What cannot be read is counted in activity.lost and left out; throws nothing.
void add_records(DeviceActivity& activity, std::uint8_t* buffer, std::size_t valid_bytes);

}  // namespace stepscope
