// Laws of card files: figures that arithmetic ties together, sources everywhere, and one line for each mistake.
#include "profiles/cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "model/base/error.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Cards, all_are_there) {
  std::vector<std::string> names;
  for (const CardFile& file : known_cards()) names.push_back(file.card.name);
  EXPECT_THAT(names,
              ::testing::IsSupersetOf({"h100-sxm", "h100-pcie", "h200", "a100-sxm-40", "a100-sxm-80", "a100-pcie-80",
                                       "l4", "l40s", "rtx-3090", "rtx-4090", "rtx-5090", "rtx-a5000"}));
}

// A multiprocessor does a power of two of FLOPs a clock: 512 on GeForce cards with sums in fp32, 1024, 2048 or 4096 on others, half
// of it in tf32. A sparse figure, or one with sums in fp16, would be the next power: so the generation's is named here.
TEST(Cards, tensor_peaks_are_dense_and_add_in_fp32) {
  const auto flops_a_clock = [](const std::string& name) {
    if (name.starts_with("h")) return 4096.0;
    if (name.starts_with("a100")) return 2048.0;
    return name == "rtx-3090" || name == "rtx-4090" || name == "rtx-5090" ? 512.0 : 1024.0;
  };
  for (const CardFile& file : known_cards()) {
    const Card& c = file.card;
    ASSERT_TRUE(file.figure("multiprocessors") && file.figure("clock_hz")) << c.name;
    const double clocks = file.figure("multiprocessors")->value * file.figure("clock_hz")->value;
    EXPECT_NEAR(c.bf16_flops / clocks / flops_a_clock(c.name), 1, 0.02) << c.name;
    EXPECT_NEAR(c.tf32_flops / c.bf16_flops, 0.5, 0.01) << c.name;
    EXPECT_EQ(c.fp16_flops, c.bf16_flops) << c.name;
    EXPECT_LE(c.fp32_flops, c.tf32_flops * 1.001) << c.name;
  }
}

TEST(Cards, each_figure_says_where_it_is_from) {
  for (const CardFile& file : known_cards()) {
    EXPECT_GE(file.figures.size(), 7U) << file.card.name;
    for (const CardFigure& figure : file.figures) {
      EXPECT_GT(figure.source.size(), 10U) << file.card.name << " " << figure.key;
      if (figure.key == "context_bytes" || figure.key == "library_bytes" || figure.key == "graph_bytes") {
        EXPECT_EQ(figure.basis, "estimated") << file.card.name;
      }
    }
    EXPECT_GT(file.card.memory_bytes, 4 * file.card.context_bytes) << file.card.name;
  }
}

// PCI Express doubles with each generation: 32 GB/s one way over sixteen lanes of the fourth.
TEST(Cards, the_host_is_reached_over_sixteen_lanes_one_way) {
  for (const CardFile& file : known_cards()) {
    const bool fifth = file.card.name.starts_with("h") || file.card.name == "rtx-5090";
    EXPECT_EQ(file.card.host_bandwidth, fifth ? 64e9 : 32e9) << file.card.name;
  }
}

TEST(Cards, a_wrong_name_is_answered_with_the_nearest) {
  try {
    (void)find_card("h100-smx");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--card h100-smx"), HasSubstr("h100-sxm")));
  }
}

class CardsOfUsers : public TemporaryFolder {
 protected:
  static std::string figure(const std::string& value) {
    return "{ value = " + value + ", basis = \"vendor\", source = \"a data sheet\" }\n";
  }
  static std::string good() {
    return "name = \"mine\"\nmemory_bytes = " + figure("8_000_000_000") + "context_bytes = " + figure("1e8") +
           "fp32_flops = " + figure("1e13") + "bf16_flops = " + figure("4e13") + "bandwidth = " + figure("5e11");
  }
  std::string file(const std::string& text) {
    std::ofstream(folder / "my.toml") << text;
    return (folder / "my.toml").string();
  }
  std::string refused(const std::string& text) {
    try {
      (void)find_card(file(text));
    } catch (const UsageError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      EXPECT_THAT(error.what(), HasSubstr("my.toml"));
      return error.what();
    }
    ADD_FAILURE() << text;
    return "";
  }
};

TEST_F(CardsOfUsers, a_file_of_ones_own) {
  const CardFile mine = find_card(file(good()));
  EXPECT_EQ(mine.card.name, "my");
  EXPECT_EQ(mine.title, "mine");
  EXPECT_EQ(mine.card.memory_bytes, 8'000'000'000);
  EXPECT_EQ(mine.card.bf16_flops, 4e13);
  EXPECT_EQ(mine.card.tf32_flops, 0);
  EXPECT_EQ(mine.card.host_bandwidth, 0);
  EXPECT_EQ(mine.figure("clock_hz"), nullptr);
}

TEST_F(CardsOfUsers, mistakes_are_one_line) {
  EXPECT_THAT(refused(good() + "bandwith = " + figure("1e12")), AllOf(HasSubstr(":7:"), HasSubstr("bandwidth")));
  EXPECT_THAT(refused("name = \"x\"\n"), HasSubstr("memory_bytes is missing"));
  EXPECT_THAT(refused(good().substr(good().find('\n') + 1)), HasSubstr("name is missing"));
  EXPECT_THAT(refused(good() + "tf32_flops = 1e13\n"), HasSubstr("a figure is needed"));
  EXPECT_THAT(refused(good() + "tf32_flops = " + figure("-1")), HasSubstr("tf32_flops.value = -1"));
  EXPECT_THAT(refused(good() + "tf32_flops = " + figure("\"much\"")), HasSubstr("a number"));
  EXPECT_THAT(refused(good() + "tf32_flops = { value = 1e13, basis = \"guess\", source = \"x\" }\n"),
              AllOf(HasSubstr("guess"), HasSubstr("measured, vendor or estimated")));
  EXPECT_THAT(refused(good() + "tf32_flops = { value = 1e13, basis = \"vendor\" }\n"), HasSubstr("source is missing"));
  EXPECT_THAT(refused("name = \n"), HasSubstr("not TOML"));
}

TEST_F(CardsOfUsers, a_file_that_is_not_there) {
  EXPECT_THROW((void)find_card((folder / "none.toml").string()), UsageError);
}

}  // namespace
}  // namespace stepscope
