#include "harness/tuning.h"

#include <fmt/format.h>

#include <set>

#include "harness/planned.h"
#include "harness/simulated_device.h"
#include "model/base/error.h"
#include "model/cuda/machine.h"
#include "model/execution/tune_matmuls.h"
#include "reports/tuning_file.h"

namespace stepscope {

namespace fs = std::filesystem;

namespace {

void require_card(const Machine& machine) {
  if (!machine.has_kernels)
    throw UsageError("--device cpu: only a card's matmuls are tuned; --device cuda is needed, or cuda:N");
}

TuningFile held(const fs::path& file) {
  std::error_code error;
  return fs::exists(file, error) ? read_tuning(file) : TuningFile{};
}

std::shared_ptr<const MatmulTuning> of_this_card(const Machine& machine, const TuningFile& file) {
  const CardIdentity here = identity_of_card(machine.card);
  const MatmulTuning* const found = file.of(here.card, here.matmul_library);
  return found == nullptr ? nullptr : std::make_shared<const MatmulTuning>(*found);
}

// Cells that cannot run tell why when they are planned.
void add_cell(MatmulList& list, const MatrixCell& cell, const Machine& machine) {
  try {
    const Step step = build_cell_step(cell, machine);
    list.add(step.program, step.plan);
  } catch (const Unsupported&) {
  } catch (const UsageError&) {
  }
}

}  // namespace

TuneEnd tune_matmuls(const Matrix& matrix, const Machine& machine, const fs::path& file,
                     const std::function<void()>& alive) {
  require_card(machine);
  require_real(machine, "tune");
  TuningFile tuning = held(file);
  MatmulList list(machine.card);
  std::set<std::string> references;
  for (const MatrixCell& cell : matrix.cells) {
    if (!cell.excluded_by.empty()) continue;
    add_cell(list, cell, machine);
    const Configuration reference = reference_of(cell.configuration);
    if (references.insert(cell_id(reference)).second)
      add_cell(list, {.id = cell_id(reference), .configuration = reference, .given = cell.given}, machine);
    alive();
  }
  const CardIdentity here = identity_of_card(machine.card);
  const MatmulTuning* const known = tuning.of(here.card, here.matmul_library);
  TuneEnd end{.matmuls = list.signatures().size()};
  MatmulTuning made = list.tune(known != nullptr ? *known : MatmulTuning{here.card, here.matmul_library}, [&] {
    ++end.measured;
    alive();
  });
  if (end.measured == 0 && known != nullptr) return end;
  tuning.put(std::move(made));
  write_tuning(file, tuning);
  return end;
}

std::shared_ptr<const MatmulTuning> tuning_for(const Machine& machine, const fs::path& file) {
  std::error_code error;
  if (!machine.has_kernels || !fs::exists(file, error)) return nullptr;
  return of_this_card(machine, read_tuning(file));
}

std::shared_ptr<const MatmulTuning> tuning_asked_for(const Machine& machine, const std::string& file) {
  if (file.empty()) return nullptr;
  require_card(machine);
  const TuningFile there = read_tuning(file);
  if (std::shared_ptr<const MatmulTuning> tuning = of_this_card(machine, there)) return tuning;
  const CardIdentity here = identity_of_card(machine.card);
  throw UsageError(fmt::format("--tuning {}: has nothing of {} with cuBLASLt {}; stepscope tune adds it", file,
                               here.card, here.matmul_library));
}

}  // namespace stepscope
