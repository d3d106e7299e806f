// What a run says of itself in words: every model and source once, or how many they are.
#include "harness/run_identity.h"

#include <gtest/gtest.h>

namespace stepscope {
namespace {

Matrix matrix_with(const std::vector<std::pair<std::int64_t, std::string>>& layers_and_sources) {
  Matrix matrix;
  for (const auto& [layers, source] : layers_and_sources) {
    MatrixCell cell;
    cell.configuration.preset = "tiny";
    cell.configuration.model = preset_named("tiny").model;
    cell.configuration.model.layers = layers;
    cell.configuration.training.sequence = 16;
    cell.configuration.data.source = source;
    matrix.cells.push_back(std::move(cell));
  }
  return matrix;
}

TEST(RunIdentity, names_each_model_once) {
  const char* two = "tiny: 2 layers, hidden 64, 2 heads, sequence 16, vocabulary 256";
  EXPECT_EQ(models_in_words(matrix_with({{2, "synthetic"}, {2, "synthetic"}})), two);
  EXPECT_EQ(models_in_words(matrix_with({{2, "a"}, {3, "a"}, {2, "a"}})),
            two + std::string("; tiny: 3 layers, hidden 64, 2 heads, sequence 16, vocabulary 256"));
  EXPECT_EQ(models_in_words(matrix_with({{2, "a"}, {3, "a"}, {4, "a"}, {5, "a"}})), "4 models");
}

TEST(RunIdentity, names_sources_without_their_folders) {
  EXPECT_EQ(data_in_words(matrix_with({{2, "text:some/where/kjv.txt"}, {2, "tokens:/x/train.bin"}, {2, "synthetic"}})),
            "text kjv.txt, by bytes; tokens train.bin; synthetic");
  Matrix lines = matrix_with({{2, "text:kjv.txt"}});
  lines.cells[0].configuration.data.rows = "lines";
  lines.cells[0].configuration.data.tokenizer = "gpt2:some/where";
  EXPECT_EQ(data_in_words(lines), "text kjv.txt, by gpt2, a line a row");
}

}  // namespace
}  // namespace stepscope
