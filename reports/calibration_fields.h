// The keys of a calibration's key, for the files that carry one: calibration.json, time_model.json.
#pragma once

#include "reports/calibration.h"
#include "reports/json_fields.h"

namespace stepscope {

void fields(auto& field, Of<CalibrationKey> auto& key) {
  field("processor", key.processor);
  field("threads", key.threads);
  field("onednn", key.onednn);
  field("march", key.march);
  field("bf16", key.bf16);
}

}  // namespace stepscope
