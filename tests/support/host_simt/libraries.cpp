// The stand-in's libraries are linked in: none is missing.
#include "model/cuda/libraries.cuh"

std::string stepscope::why_libraries_are_missing() { return ""; }
