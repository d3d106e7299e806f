// What a run says its cells could have kept: the same bytes and times as planning them.
#include "harness/choices.h"

#include <gtest/gtest.h>

#include <fstream>

#include "harness/fit.h"
#include "harness/matrix.h"
#include "harness/planned.h"
#include "model/cpu/machine.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

MatrixCell tiny_cell(std::vector<std::string> sets) { return matrix_of(overrides_of(sets, "tiny", "")).cells.front(); }

class ChoicesTest : public TemporaryFolder {};

TEST_F(ChoicesTest, groups_are_mixes_of_other_fields_and_named_rows_are_their_cells) {
  const Machine machine = this_cpu(1);
  const std::vector<MatrixCell> cells{tiny_cell({"checkpointing=MLPBlock"}), tiny_cell({"precision=bf16"}),
                                      tiny_cell({"checkpointing=none"}), tiny_cell({"accumulation=2"})};
  const Choices choices = choices_of(cells, machine, 2);
  ASSERT_EQ(choices.groups.size(), 2u);
  EXPECT_EQ(choices.groups_left_out, 1);
  EXPECT_EQ(choices.times_of, machine.rates.name);
  const ChoiceGroup& group = choices.groups.front();
  EXPECT_EQ(group.title, "fp32, 1 micro-batch");
  EXPECT_EQ(group.cells, (std::vector<std::string>{cells[0].id, cells[2].id}));
  int named = 0;
  for (const std::vector<FrontierRow>* rows : {&group.frontier, &group.dominated})
    for (const FrontierRow& row : *rows) {
      if (!row.named || row.value == "MLPBlock+AttentionBlock") continue;
      ++named;
      const PlannedCell planned = plan_cell(tiny_cell({"checkpointing=" + row.value}), machine, {});
      EXPECT_EQ(row.peak_bytes, planned.record.bytes.predicted_peak) << row.value;
      EXPECT_EQ(group.state_bytes, planned.record.bytes.state);
    }
  EXPECT_GE(named, 4);
  EXPECT_EQ(group.frontier.front().value, "none");
  for (const FrontierRow& row : group.dominated) EXPECT_NE(row.dominated_by, "");
  EXPECT_FALSE(group.prices.empty());
  std::ofstream(folder / "choices.json") << "{\"schema\": ";
  keep_choices(folder, cells, machine);  // a damaged one is made again
  EXPECT_EQ(read_choices(folder / "choices.json").groups.size(), 3u);
  write_choices(folder / "choices.json", choices);
  const Choices back = read_choices(folder / "choices.json");
  EXPECT_EQ(back.groups.front().frontier.back().peak_bytes, group.frontier.back().peak_bytes);
  EXPECT_EQ(back.groups.back().title, choices.groups.back().title);
  for (const std::size_t rung : rungs_of(group.frontier)) {
    ASSERT_TRUE(back.groups.front().frontier[rung].repeated);
    EXPECT_EQ(back.groups.front().frontier[rung].repeated->empty(), group.frontier[rung].repeated_ns == 0);
  }
  ASSERT_TRUE(back.cards);
  for (const CardMemory& card : *back.cards) {
    const MemoryFit fit = fit_on_card(find_card(card.name), 0);
    EXPECT_EQ(card.memory_bytes - card.beside_bytes, fit.limit_bytes(0)) << card.name;
  }
}

}  // namespace
}  // namespace stepscope
