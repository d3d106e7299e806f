// One visit: one cell measured once, in this process.
//     Visit visit = measure({.cell = &cell, .machine = this_cpu(2), .kind = VisitKind::timed, .folder = run / "cells" / id}, heartbeat);
// timed: used bytes, then step 1 with its numerics (written beside the record once), warm-up, timed steps, no profiler.
// profiled: warm-up, then as many steps unseen, seen and unseen again: time by operation and kernel, also as trace.json.gz; the plan's
// memory timeline. learning: a loss curve.
// What goes wrong becomes the visit's outcome and reason; only UsageErrors are thrown.
#pragma once

#include <filesystem>
#include <memory>

#include "harness/cell.h"
#include "harness/worker.h"
#include "model/program/cost.h"
#include "reports/visit.h"

namespace stepscope {

struct MatmulTuning;

struct VisitRequest {
  const MatrixCell* cell = nullptr;
  Machine machine;
  VisitKind kind = VisitKind::timed;
  int round = 1;
  std::filesystem::path folder;  // of the cell
  std::shared_ptr<const MatmulTuning> tuning = {};  // of a card's matmuls
  double extra_work = 0;  // share of a timed step's time that is spent doing nothing after it
};

[[nodiscard]] Visit measure(const VisitRequest& request, const Heartbeat& heartbeat);

}  // namespace stepscope
