// `stepscope step` against PyTorch in fp64, as a person would call it: every folder of tests/golden, with both kinds of attention.
// What is in the folders and why: tests/golden/README.md. An error is the norm of a difference over the norm of what was expected.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/base/tolerance.h"
#include "model/training/safetensors.h"
#include "tests/support/build_folder.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;

using Tensors = std::map<std::string, std::vector<double>>;

const fs::path golden = fs::path(STEPSCOPE_SOURCE_DIR) / "tests" / "golden";
constexpr double limit = tolerance(DType::fp32).relative;

nlohmann::json about(const std::string& name) {
  return nlohmann::json::parse(std::ifstream(golden / name / "case.json"));
}

std::vector<std::string> cases_with(bool (*wanted)(const nlohmann::json&)) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden))
    if (entry.is_directory() && wanted(about(entry.path().filename()))) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> all_cases() {
  return cases_with([](const nlohmann::json&) { return true; });
}

std::vector<std::string> cases_with_updates() {
  return cases_with([](const nlohmann::json& of) { return of.at("steps") > 0; });
}

// The tensors whose names begin with any of the beginnings, all of which must be fp32.
Tensors read_tensors(const fs::path& path, const std::vector<std::string>& beginnings = {""}) {
  Tensors tensors;
  for (const NamedTensor& tensor : read_safetensors(path).tensors) {
    const auto begins = [&](const std::string& beginning) { return tensor.name.starts_with(beginning); };
    if (std::none_of(beginnings.begin(), beginnings.end(), begins)) continue;
    EXPECT_EQ(tensor.dtype, DType::fp32) << tensor.name;
    std::vector<float> elements(tensor.bytes.size() / sizeof(float));
    std::memcpy(elements.data(), tensor.bytes.data(), tensor.bytes.size());
    tensors[tensor.name].assign(elements.begin(), elements.end());
  }
  return tensors;
}

std::vector<std::string> names_of(const Tensors& tensors) {
  std::vector<std::string> names;
  for (const auto& [name, elements] : tensors) names.push_back(name);
  return names;
}

double norm(const std::vector<double>& elements) {
  double squares = 0;
  for (const double element : elements) squares += element * element;
  return std::sqrt(squares);
}

std::vector<double> difference(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  std::vector<double> result(std::min(a.size(), b.size()));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = a[i] - b[i];
  return result;
}

double largest_gradient_norm(const Tensors& tensors) {
  double largest = 0;
  for (const auto& [name, elements] : tensors)
    if (name.starts_with("gradient.")) largest = std::max(largest, norm(elements));
  return largest;
}

class ParityTest : public TemporaryFolder {
 protected:
  // The file that `--save` writes for a case, with further fields set.
  fs::path step(const std::string& name, int steps, const std::vector<std::string>& further) {
    const auto quoted = [](const std::string& word) { return " '" + word + "'"; };
    const fs::path saved = folder / "saved.safetensors";
    std::string command = quoted(build_folder() + "/stepscope") + " step --preset seed";
    for (const std::string& field : about(name).at("set").get<std::vector<std::string>>())
      command += " --set" + quoted(field);
    for (const std::string& field : further) command += " --set" + quoted(field);
    command += " --batch" + quoted(golden / name / "batch.safetensors");
    command += " --weights" + quoted(golden / name / "weights.safetensors");
    command += " --steps " + std::to_string(steps) + " --save" + quoted(saved) + " --json 2>&1";
    run(command);
    return saved;
  }

 private:
  static void run(const std::string& command) {
    FILE* pipe = popen(command.c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    std::string output;
    char part[4096];
    while (const std::size_t size = fread(part, 1, sizeof part, pipe)) output.append(part, size);
    const int status = pclose(pipe);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << output;
  }
};

class Parity : public ParityTest, public testing::WithParamInterface<std::tuple<std::string, std::string>> {};

TEST_P(Parity, loss_logits_and_every_gradient_are_those_of_fp64) {
  const auto& [name, attention] = GetParam();
  const std::vector<std::string> compared = {"loss", "logits", "gradient."};
  const fs::path saved = step(name, 1, {"attention=" + attention});
  if (HasFatalFailure()) return;
  const Tensors got = read_tensors(saved, compared);
  const Tensors expected = read_tensors(golden / name / "expected.safetensors", compared);
  ASSERT_EQ(names_of(got), names_of(expected));
  // A gradient that is zero but for rounding has no digits of its own: it is held to the largest gradient's rounding.
  const double least_norm = limit * largest_gradient_norm(expected);
  for (const auto& [tensor, elements] : expected) {
    const double error = norm(difference(got.at(tensor), elements)) / std::max(norm(elements), least_norm);
    EXPECT_LT(error, limit) << tensor;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Parity,
                         testing::Combine(testing::ValuesIn(all_cases()), testing::Values("fused", "materialised")),
                         [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

// The largest error of a saved step over loss, logits and gradients; a gradient that is rounding alone counts against the largest.
double worst_error(const Tensors& got, const Tensors& expected, double least) {
  const double least_norm = least * largest_gradient_norm(expected);
  double worst = 0;
  for (const auto& [tensor, elements] : expected) {
    const double error = norm(difference(got.at(tensor), elements)) / std::max(norm(elements), least_norm);
    if (!(error <= worst)) worst = error;  // NaN stays
  }
  return worst;
}

// How far a narrow step may be from fp64 is what an independent implementation finds that rounds at the same places: case.json has it,
// tests/golden/README.md says why no constant could. Other sums draw other roundings there: a factor of two.
class NarrowParity : public ParityTest,
                     public testing::WithParamInterface<std::tuple<std::string, std::string, std::string>> {};

TEST_P(NarrowParity, loss_logits_and_every_gradient_are_as_far_from_fp64_as_the_same_roundings_take_them) {
  const auto& [name, attention, precision] = GetParam();
  const std::vector<std::string> compared = {"loss", "logits", "gradient."};
  const Tensors expected = read_tensors(golden / name / "expected.safetensors", compared);
  std::vector<std::string> fields = {"attention=" + attention, "precision=" + precision};
  if (precision == "fp16") fields.emplace_back("loss_scale=1024");  // these batches are small, their gradients large
  const Tensors got = read_tensors(step(name, 1, fields), compared);
  if (HasFatalFailure()) return;
  ASSERT_EQ(names_of(got), names_of(expected));
  const double of_reference = about(name).at("errors").at(precision);
  const double error = worst_error(got, expected, tolerance(dtype_named(precision).value()).relative);
  RecordProperty("error", std::to_string(error));
  EXPECT_LT(error, 2 * of_reference);
  EXPECT_GT(error, of_reference / 2);
}

INSTANTIATE_TEST_SUITE_P(Golden, NarrowParity,
                         testing::Combine(testing::ValuesIn(all_cases()), testing::Values("fused", "materialised"),
                                          testing::Values("fp16", "bf16")),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param) + "_" +
                                  std::get<2>(info.param);
                         });

// The loss of a case by its formula, from logits in fp64: mean over counted targets of log(sum exp(logits)) - logits[target].
double loss_of(const std::string& name, const std::vector<double>& logits, std::size_t vocabulary) {
  const TensorFile batch = read_safetensors(golden / name / "batch.safetensors");
  const auto integers = [&](const char* of) {
    std::vector<std::int32_t> elements;
    if (const NamedTensor* tensor = batch.find(of); tensor != nullptr) {
      elements.resize(tensor->bytes.size() / sizeof(std::int32_t));
      std::memcpy(elements.data(), tensor->bytes.data(), tensor->bytes.size());
    }
    return elements;
  };
  const std::vector<std::int32_t> targets = integers("targets"), lengths = integers("lengths");
  const auto sequence = static_cast<std::size_t>(batch.find("targets")->shape[1]);
  double sum = 0, counted = 0;
  for (std::size_t at = 0; at < targets.size(); ++at) {
    const bool past = !lengths.empty() && static_cast<int>(at % sequence) >= lengths[at / sequence];
    if (targets[at] < 0 || past) continue;
    const double* row = logits.data() + at * vocabulary;
    double exponentials = 0;
    for (std::size_t v = 0; v < vocabulary; ++v) exponentials += std::exp(row[v]);
    sum += std::log(exponentials) - row[targets[at]];
    ++counted;
  }
  return sum / counted;
}

class ParityOfLoss : public ParityTest, public testing::WithParamInterface<std::string> {};

TEST_P(ParityOfLoss, is_the_formula_of_the_saved_logits) {
  const fs::path saved = step(GetParam(), 1, {});
  if (HasFatalFailure()) return;
  const Tensors got = read_tensors(saved, {"loss", "logits"});
  const auto vocabulary = static_cast<std::size_t>(read_safetensors(saved).find("logits")->shape.last());
  EXPECT_NEAR(loss_of(GetParam(), got.at("logits"), vocabulary), got.at("loss")[0], limit * got.at("loss")[0]);
}

INSTANTIATE_TEST_SUITE_P(Golden, ParityOfLoss, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param; });

class ParityOfUpdates : public ParityTest, public testing::WithParamInterface<std::string> {};

// Adam divides a gradient by its own size. Where the gradient is rounding alone (a key's bias: softmax does not feel a shift of all
// scores of a row) the path is that rounding's sign, so such elements count as equal. A gradient of exactly zero moves nothing.
std::vector<double> with_digits(std::vector<double> elements, const std::vector<double>& gradient) {
  double largest = 0;
  for (const double element : gradient) largest = std::max(largest, std::fabs(element));
  for (std::size_t i = 0; i < elements.size(); ++i)
    if (gradient[i] != 0 && std::fabs(gradient[i]) < limit * largest) elements[i] = 0;
  return elements;
}

TEST_P(ParityOfUpdates, weights_move_as_in_fp64) {
  const int steps = about(GetParam()).at("steps");
  const fs::path saved = step(GetParam(), steps, {});
  if (HasFatalFailure()) return;
  const Tensors got = read_tensors(saved, {"updated."});
  const Tensors expected = read_tensors(golden / GetParam() / "expected.safetensors");
  const Tensors before = read_tensors(golden / GetParam() / "weights.safetensors");
  ASSERT_EQ(got.size(), before.size());
  for (const auto& [name, start] : before) {
    const std::string tensor = "updated." + name;
    const std::vector<double> off = difference(got.at(tensor), expected.at(tensor));
    const double moved = norm(difference(expected.at(tensor), start));
    const double rounding = std::ldexp(norm(start), -24) * (steps + 1);  // of the weight by each step, and by the file
    EXPECT_GT(moved, 100 * rounding) << name;  // so that the next line can fail
    EXPECT_LT(norm(with_digits(off, expected.at("gradient." + name))), limit * moved + rounding) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ParityOfUpdates, testing::ValuesIn(cases_with_updates()),
                         [](const auto& info) { return info.param; });

TEST_F(ParityTest, saved_gradients_are_those_before_clipping) {
  const Tensors free = read_tensors(step("adam_steps", 1, {"clip=0"}), {"gradient."});
  const Tensors clipped = read_tensors(step("adam_steps", 1, {"clip=0.001"}), {"gradient."});
  EXPECT_EQ(free, clipped);
}

}  // namespace
}  // namespace stepscope
