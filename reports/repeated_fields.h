// The keys of what is repeated at a place, for the files that carry it: record.json, choices.json.
#pragma once

#include "reports/json_fields.h"
#include "reports/record.h"

namespace stepscope {

void fields(auto& field, Of<RepeatedPlace> auto& place) {
  field("place", place.place);
  field("repeated", place.repeated);
  field("of", place.of);
}

}  // namespace stepscope
