// What makes a run the run it is: its matrix and its data as hashes, its model and text in words for the report's head.
//     environment["matrix_hash"] = matrix_hash(matrix);
#pragma once

#include <string>

#include "harness/matrix.h"

namespace stepscope {

// Of the whole matrix, whatever part of it runs. Rounds may differ: more of them are more visits of the same kind.
[[nodiscard]] std::string matrix_hash(const Matrix& matrix);
// Of the bytes of all files that decide what the cells compute.
[[nodiscard]] std::string data_hash(const Matrix& matrix);

// "seed-small: 4 layers, hidden 256, 4 heads, sequence 128, vocabulary 256"; of several models each, or how many they are.
[[nodiscard]] std::string models_in_words(const Matrix& matrix);
// "text kjv.txt, by bytes"
[[nodiscard]] std::string data_in_words(const Matrix& matrix);

}  // namespace stepscope
