// From a cell's plan and its visits to its record: the one place where visits are folded.
//     write_record(folder / "record.json", record_of(planned, visits));
#pragma once

#include <span>

#include "reports/record.h"
#include "reports/visit.h"

namespace stepscope {

// `planned` gives everything known without running (id, axes, repeat, device, bytes predicted, FLOPs, the peak); what it says of numerics
// (reference, errors, limits) is kept. Outcome: ok as soon as one timed visit was good, however many others failed (then the reason tells
// them); else that of the last visit that failed; without visits that of the plan. An unverified plan stays so, without a time.
[[nodiscard]] Record record_of(Record planned, std::span<const Visit> visits);

}  // namespace stepscope
