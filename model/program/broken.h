// How a verifier's rule says that a program breaks it.
#pragma once

#include <cstddef>
#include <string>

#include "model/program/program.h"

namespace stepscope {

[[noreturn]] void broken(const char* rule, const Program& program, std::size_t operation, const std::string& what);

}  // namespace stepscope
