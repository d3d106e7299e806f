#include "harness/device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <exception>
#include <sstream>

#include "harness/calibrate.h"
#include "harness/simulated_device.h"
#include "model/base/error.h"
#include "model/cpu/machine.h"
#include "model/cuda/machine.h"
#include "model/program/simulated_card.h"

namespace stepscope {

namespace {

Machine processor(int threads) {
  const Machine machine = this_cpu(threads > 0 ? threads : cpu_cores());
  return with_rates(machine, kept_calibration(machine));
}

Machine card_as_asked(const std::string& device, int card) {
  try {
    return this_card(card);
  } catch (const Unsupported& error) {
    throw Unsupported(fmt::format("--device {}: {}", device, error.what()));
  }
}

// A line for a pipe: what a card's Machine holds beside what every card's does.
std::string written(const Machine& m) {
  return fmt::format("{} {} {} {} {} {} {}\n", m.card, m.native_bf16 ? 1 : 0, m.native_fp16 ? 1 : 0, m.tf32 ? 1 : 0,
                     m.memory_bytes, m.context_bytes, m.name);
}

Machine read_back(const std::string& line) {
  Machine m{.kind = Machine::Kind::cuda, .name = {}, .has_kernels = true};
  std::istringstream stream(line);
  stream >> m.card >> m.native_bf16 >> m.native_fp16 >> m.tf32 >> m.memory_bytes >> m.context_bytes >> std::ws;
  std::getline(stream, m.name);
  return m;
}

constexpr char refused = '!';  // before why

[[noreturn]] void tell_and_end(int pipe, const std::string& device, int card) {
  std::string line;
  try {
    line = written(card_as_asked(device, card));
  } catch (const Unsupported& error) {
    line = refused + std::string(error.what());
  } catch (const std::exception& error) {
    line = std::string(2, refused) + error.what();
  }
  const ssize_t bytes = write(pipe, line.data(), line.size());
  _exit(bytes == static_cast<ssize_t>(line.size()) ? 0 : 1);
}

std::string all_of(int pipe) {
  std::string text;
  std::array<char, 512> part{};
  for (ssize_t count = 0; (count = read(pipe, part.data(), part.size())) != 0;) {
    if (count < 0 && errno != EINTR) break;
    if (count > 0) text.append(part.data(), static_cast<std::size_t>(count));
  }
  return text;
}

}  // namespace

std::optional<int> card_of_device(const std::string& device) {
  if (device == "cpu") return std::nullopt;
  if (device == "cuda") return 0;
  int card = 0;
  const std::string number = device.starts_with("cuda:") ? device.substr(5) : "";
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), card);
  if (number.empty() || error != std::errc{} || end != number.data() + number.size() || card < 0)
    throw UsageError(fmt::format("--device {}: must be cpu, cuda or cuda:N, N from 0", device));
  return card;
}

std::string name_of_device(const Machine& machine) {
  if (is_simulated(machine)) return machine.simulation->device();
  return machine.has_kernels ? fmt::format("cuda:{}", machine.card) : "cpu";
}

std::string kind_of_device(const Machine& machine) {
  if (is_simulated(machine)) return "simulated";
  return machine.kind == Machine::Kind::cpu ? "cpu" : "cuda";
}

Machine machine_on(const std::string& device, int threads) {
  if (names_simulated(device)) return simulated_machine(device);
  const std::optional<int> card = card_of_device(device);
  return card ? card_as_asked(device, *card) : processor(threads);
}

Machine machine_seen_by_child(const std::string& device, int threads) {
  if (names_simulated(device)) return simulated_machine(device);
  const std::optional<int> card = card_of_device(device);
  if (!card) return processor(threads);
  std::fflush(nullptr);  // what waits to be printed is printed once
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw MachineError("no pipe to a process that asks for the card");
  const pid_t child = fork();
  if (child == 0) tell_and_end(ends[1], device, *card);
  close(ends[1]);
  const std::string line = child < 0 ? "" : all_of(ends[0]);
  close(ends[0]);
  for (int status = 0; child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR;) {
  }
  if (line.empty()) throw MachineError(fmt::format("--device {}: the process that asked for the card died", device));
  if (line.starts_with(std::string(2, refused))) throw MachineError(line.substr(2));
  if (line.front() == refused) throw Unsupported(line.substr(1));
  return read_back(line);
}

}  // namespace stepscope
