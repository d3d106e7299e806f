#include "harness/simulated_device.h"

#include <fmt/format.h>

#include "model/base/error.h"
#include "model/base/hash.h"
#include "model/cuda/machine.h"
#include "model/program/simulated_card.h"
#include "profiles/cards.h"

namespace stepscope {

namespace {

constexpr std::string_view prefix = "simulated:", costed = ",costed";

// A file of the user's may change while a run is stopped: its figures are part of who the card is.
std::string title_of(const std::string& name, const CardFile& file) {
  if (name.find('/') == std::string::npos && !name.ends_with(".toml")) return file.title;
  Hash hash;
  for (const CardFigure& figure : file.figures) hash.add(fmt::format("{} {}\n", figure.key, figure.value));
  return fmt::format("{} ({})", file.title, hexadecimal(hash.value()).substr(0, 8));
}

}  // namespace

bool names_simulated(const std::string& device) { return device.starts_with(prefix); }

Machine simulated_machine(const std::string& device) {
  std::string name = device.substr(prefix.size());
  const bool computes = !name.ends_with(costed);
  if (!computes) name.resize(name.size() - costed.size());
  if (name.empty())
    throw UsageError(
        fmt::format("--device {}: simulated:CARD or simulated:CARD,costed, as simulated:h100-sxm", device));
  const CardFile file = find_card(name);
  const CardFigure* const multiprocessors = file.figure("multiprocessors");
  try {
    Machine machine =
        simulated_card({.card = file.card,
                        .title = title_of(name, file),
                        .multiprocessors = multiprocessors == nullptr ? 1 : static_cast<int>(multiprocessors->value),
                        .computes = computes,
                        .device = device});
    machine.rates = file.card;
    return machine;
  } catch (const Unsupported& error) {
    throw Unsupported(fmt::format("--device {}: {}", device, error.what()));
  }
}

bool computes(const Machine& machine) { return !is_simulated(machine) || machine.simulation->computes(); }

std::string times_in_words(const Machine& machine) {
  return is_simulated(machine) ? machine.simulation->description() : "measured";
}

void require_computing(const Machine& machine, const std::string& what) {
  if (!computes(machine))
    throw UsageError(fmt::format("{}: nothing is computed on --device {}", what, machine.simulation->device()));
}

void require_real(const Machine& machine, const std::string& what) {
  if (is_simulated(machine))
    throw UsageError(
        fmt::format("{}: not on --device {}; step and run are simulated", what, machine.simulation->device()));
}

}  // namespace stepscope
