// Which views are matrices, and of what layout.
#include "model/cpu/operands.h"

#include <gtest/gtest.h>

#include "model/base/error.h"
#include "model/cpu/workspace.h"

namespace stepscope {
namespace {

void expect_matrix(const View& view, const MatrixView& expected) {
  const MatrixView matrix = matrix_of(view, "test");
  EXPECT_EQ(matrix.rows, expected.rows);
  EXPECT_EQ(matrix.columns, expected.columns);
  EXPECT_EQ(matrix.stride, expected.stride);
  EXPECT_EQ(matrix.transposed, expected.transposed);
}

TEST(Operands, leading_axes_become_one_axis_of_rows) {
  expect_matrix(whole_view({2, 3, 4}), {.rows = 6, .columns = 4, .stride = 4});
  expect_matrix(whole_view({7}), {.rows = 1, .columns = 7, .stride = 7});
  expect_matrix({.shape = {2, 3, 4}, .strides = {30, 10, 1}}, {.rows = 6, .columns = 4, .stride = 10});
}

TEST(Operands, a_weight_may_view_an_embedding_transposed) {
  expect_matrix({.shape = {5, 9}, .strides = {1, 5}}, {.rows = 5, .columns = 9, .stride = 5, .transposed = true});
}

TEST(Operands, refuse_views_that_are_no_matrix) {
  EXPECT_THROW((void)matrix_of({.shape = {2, 3, 4}, .strides = {40, 10, 1}}, "test"),
               ProgramError);  // rows not evenly spaced
  EXPECT_THROW((void)matrix_of({.shape = {2, 3, 4}, .strides = {24, 8, 2}}, "test"),
               ProgramError);  // columns not contiguous
}

TEST(WorkspaceLayout, lays_aligned_pieces_one_behind_the_other) {
  WorkspaceLayout layout;
  EXPECT_EQ(layout.place(1), 0);
  EXPECT_EQ(layout.place_elements<float>(100), 256);
  EXPECT_EQ(layout.place(0), 768);
  EXPECT_EQ(layout.place(256), 768);
  EXPECT_EQ(layout.total_bytes(), 1024);
}

}  // namespace
}  // namespace stepscope
