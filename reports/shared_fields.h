// The keys of what several files carry: record.json, visit-K.json, choices.json.
#pragma once

#include "reports/json_fields.h"
#include "reports/record.h"

namespace stepscope {

void fields(auto& field, Of<RepeatedPlace> auto& place) {
  field("place", place.place);
  field("repeated", place.repeated);
  field("of", place.of);
}

void fields(auto& field, Of<LossScaling> auto& scaling) {
  field("scale", scaling.scale);
  field("skipped_steps", scaling.skipped_steps);
  field("steps", scaling.steps);
}

}  // namespace stepscope
