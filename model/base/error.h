// What can go wrong, by whose mistake it was: the class decides the exit status of the command line.
#pragma once

#include <stdexcept>
#include <string>

namespace stepscope {

// Wrong use or wrong input: one line that names the file, the key, the value and what would be right. Exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The machine failed: no memory, no disk, a library's error. Exit status 3.
struct MachineError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// There is no room for states or arena, in memory of the host's or a card's: the outcome of a cell that was too large.
struct OutOfMemory : MachineError {
  using MachineError::MachineError;
};

// What was computed does not hold: training diverged. Exit status 1.
struct FailedCheck : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// This machine cannot do what was asked, and never will: an outcome of a cell, not a failure of the run.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A program that breaks one of its own rules (V1 to V9 of program/verify.h): a mistake in stepscope itself.
struct ProgramError : std::logic_error {
  ProgramError(std::string broken_rule, const std::string& what)
      : std::logic_error(broken_rule + ": " + what), rule(std::move(broken_rule)) {}
  std::string rule;
};

}  // namespace stepscope
