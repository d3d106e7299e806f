// What the fuzzer found worth keeping, read again by the program as it is built everywhere: one test a target, and one a seed of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "model/base/file.h"
#include "tests/fuzz/targets.h"
#include "tests/support/temporary_folder.h"

namespace stepscope::testing {

namespace fs = std::filesystem;

namespace {

const fs::path corpora = fs::path(STEPSCOPE_SOURCE_DIR) / "tests" / "fuzz" / "corpora";

int value_of_hex(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }

std::string bytes_of_hex(const std::string& line) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < line.size(); i += 2)
    bytes += static_cast<char>(16 * value_of_hex(line[i]) + value_of_hex(line[i + 1]));
  return bytes;
}

std::vector<std::string> corpus_of(const FuzzTarget& target) {
  std::ifstream file(corpora / (std::string(target.name) + ".hex"));
  std::vector<std::string> inputs;
  for (std::string line; std::getline(file, line);) inputs.push_back(bytes_of_hex(line));
  return inputs;
}

struct Fuzz : TemporaryFolder {
  void expect_read(const std::string& target, const fs::path& seed) {
    const std::string refused = feed(fuzz_target(target), folder, read_file(seed));
    const bool waits = refused.ends_with("text/kjv.txt: there is no such file");  // for a text that scripts/demo gets
    EXPECT_TRUE(refused.empty() || waits) << refused;
  }
};

}  // namespace

TEST_F(Fuzz, whatever_bytes_a_file_holds_they_are_read_or_refused_in_a_line) {
  for (const FuzzTarget& target : fuzz_targets()) {
    const std::vector<std::string> inputs = corpus_of(target);
    EXPECT_FALSE(inputs.empty()) << target.name;
    std::size_t refused = 0;
    for (const std::string& input : inputs) {
      try {
        refused += feed(target, folder, input).empty() ? 0U : 1U;
      } catch (const std::exception& error) {
        ADD_FAILURE() << target.name << ": " << error.what() << ": " << input;
      }
    }
    EXPECT_GT(refused, 0U) << target.name;
    EXPECT_LT(refused, inputs.size()) << target.name << ": none of its inputs is read";
  }
}

TEST_F(Fuzz, what_the_repository_holds_is_read) {
  const fs::path root = STEPSCOPE_SOURCE_DIR;
  for (const auto& entry : fs::directory_iterator(root / "harness" / "matrices")) expect_read("matrix", entry.path());
  for (const auto& entry : fs::directory_iterator(root / "profiles" / "cards")) expect_read("card", entry.path());
  expect_read("calibration", root / "reports" / "published" / "epyc-2core-demo" / "calibration.json");
  expect_read("batch", root / "tests" / "golden" / "gpt2" / "batch.safetensors");
  expect_read("safetensors", root / "tests" / "golden" / "gpt2" / "weights.safetensors");
}

}  // namespace stepscope::testing
