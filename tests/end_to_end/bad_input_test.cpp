// Wrong input gets exit status 2 and one line that names where, which key, which value and what would be right; nothing is made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>

#include "model/training/safetensors.h"
#include "tests/support/program_run.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class BadInput : public TemporaryFolder {
 protected:
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return (folder / name).string();
  }

  // What the one line says; the folder's content stays as it was.
  std::string refused(const std::vector<std::string>& arguments) {
    const std::ptrdiff_t before = std::distance(fs::recursive_directory_iterator(folder), {});
    const testing::ProgramRun run = testing::run_program(arguments);
    EXPECT_EQ(run.status, 2) << run.error;
    EXPECT_EQ(std::count(run.error.begin(), run.error.end(), '\n'), 1) << run.error;
    EXPECT_TRUE(run.error.starts_with("stepscope: ")) << run.error;
    EXPECT_EQ(std::distance(fs::recursive_directory_iterator(folder), {}), before);
    return run.error;
  }

  std::string refused_matrix(const std::string& text) {
    const std::string file = write("m.toml", text);
    const std::string said = refused({"plan", file});
    EXPECT_THAT(said, HasSubstr("m.toml:"));
    EXPECT_EQ(said, refused({"run", file, "--out", (folder / "run").string()}));
    return said;
  }
};

const std::string tiny = "[model]\npreset = \"tiny\"\n";

TEST_F(BadInput, a_device_that_is_none_or_not_here) {
  for (const std::string command : {"step", "train", "run", "plan", "advise"}) {
    std::vector<std::string> arguments{command, "--preset", "tiny", "--set", "steps=1", "--device", "gpu"};
    if (command == "train" || command == "run") arguments.insert(arguments.end(), {"--out", (folder / "out").string()});
    EXPECT_THAT(refused(arguments), HasSubstr("--device gpu: must be cpu, cuda or cuda:N"));
    arguments[6] = "cuda:99";
    EXPECT_THAT(refused(arguments), HasSubstr("--device cuda:99: "));  // without CUDA, driver or so many cards
  }
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--device", "cuda", "--card", "l4"}), HasSubstr("--card excludes"));
}

TEST_F(BadInput, unknown_key_with_the_nearest_one) {
  EXPECT_THAT(refused_matrix(tiny + "layer = 2\n"), AllOf(HasSubstr("m.toml:3: model.layer"), HasSubstr("layers")));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\nprecison = [\"fp32\"]\n"),
              AllOf(HasSubstr(":4:"), HasSubstr("precision")));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\ncolour = [1]\n"), HasSubstr(":4: matrix.colour: there is no such"));
  EXPECT_THAT(refused_matrix(tiny + "[[exclude]]\ncolour = 1\n"), HasSubstr(":4: exclude.colour: there is no such"));
  EXPECT_THAT(refused_matrix(tiny + "[measure]\nlearning = [{colour = 1}]\n"),
              HasSubstr(":4: measure.learning.colour: there is no such"));
  EXPECT_THAT(refused_matrix(tiny + "[modle]\n"), AllOf(HasSubstr("modle"), HasSubstr("model")));
}

TEST_F(BadInput, wrong_type_and_range) {
  EXPECT_THAT(refused_matrix(tiny + "layers = \"two\"\n"),
              AllOf(HasSubstr("m.toml:3: model.layers = \"two\""), HasSubstr("whole number"), HasSubstr("not text")));
  EXPECT_THAT(refused_matrix(tiny + "layers = 2.0\n"), HasSubstr("model.layers = 2.0: a whole number"));
  EXPECT_THAT(refused_matrix(tiny + "layers = 0\n"), HasSubstr("model.layers = 0"));
  EXPECT_THAT(refused_matrix(tiny + "dropout = 1.5\n"), HasSubstr("model.dropout = 1.5"));
  EXPECT_THAT(refused_matrix(tiny + "hidden = 99999999999999\n"), HasSubstr("model.hidden = 99999999999999"));
  EXPECT_THAT(refused_matrix(tiny + "[measure]\nrounds = -1\n"), HasSubstr("m.toml:4: measure.rounds = -1"));
}

TEST_F(BadInput, unknown_values_of_techniques) {
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\nprecision = [\"fp8\"]\n"),
              AllOf(HasSubstr(":4: matrix.precision = fp8"), HasSubstr("bf16")));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\ncheckpointing = [\"every-0\"]\n"), HasSubstr("every-0"));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\ncheckpointing = [\"NoSuchLayer\"]\n"), HasSubstr("NoSuchLayer"));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\naccumulation = [0]\n"), HasSubstr("accumulation = 0"));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\nprecision = []\n"), HasSubstr("at least one value"));
}

TEST_F(BadInput, fields_that_do_not_fit_each_other) {
  EXPECT_THAT(refused_matrix(tiny + "[training]\nsequence = 33\n"), AllOf(HasSubstr("sequence = 33"), HasSubstr("32")));
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\naccumulation = [3]\n"), AllOf(HasSubstr("3"), HasSubstr("8")));
  EXPECT_THAT(refused_matrix(tiny + "heads = 3\n"), AllOf(HasSubstr("model.heads = 3"), HasSubstr("64")));
  EXPECT_THAT(refused_matrix(
                  tiny + "vocabulary = 100\n[data]\nsource = \"text:" + write("t.txt", std::string(500, 'x')) + "\"\n"),
              AllOf(HasSubstr("vocabulary"), HasSubstr("256")));
}

TEST_F(BadInput, files_of_text) {
  const auto with_source = [&](const std::string& source) {
    return refused({"run", "--preset", "tiny", "--data", source, "--out", (folder / "run").string()});
  };
  EXPECT_THAT(with_source("text:" + (folder / "none.txt").string()), HasSubstr("none.txt"));
  EXPECT_THAT(with_source("text:" + write("empty.txt", "")), HasSubstr("empty.txt"));
  EXPECT_THAT(with_source("text:" + write("short.txt", "ab")), HasSubstr("short.txt"));
  EXPECT_THAT(with_source("text:" + folder.string()), HasSubstr(folder.filename().string()));
  EXPECT_THAT(with_source("tokens:" + (folder / "none.bin").string()), HasSubstr("none.bin"));
  EXPECT_THAT(with_source("tokens:" + write("odd.bin", std::string(501, '\0'))), HasSubstr("odd.bin"));
  EXPECT_THAT(with_source("tokens:" + write("high.bin", std::string(500, '\x7f'))),
              AllOf(HasSubstr("high.bin"), HasSubstr("model.vocabulary = 256")));
  EXPECT_THAT(with_source("text:/dev/zero"), HasSubstr("is no regular file"));
  EXPECT_THAT(with_source("text:" + write("short.txt", "ab")), HasSubstr("stepscope: --data: "));
  const auto with_tokenizer = [&](const std::string& tokenizer, const std::string& text = "text") {
    return refused({"run", "--preset", "tiny", "--data", "text:" + write("t.txt", std::string(500, 'x') + text),
                    "--set", "tokenizer=" + tokenizer, "--set", "vocabulary=377", "--out", (folder / "run").string()});
  };
  EXPECT_THAT(with_tokenizer("words"), AllOf(HasSubstr("--set: "), HasSubstr("words"), HasSubstr("gpt2:FOLDER")));
  EXPECT_THAT(with_tokenizer("gpt2:"), HasSubstr("gpt2:FOLDER"));
  EXPECT_THAT(with_tokenizer("gpt2:" + folder.string()), HasSubstr("encoder.json and vocab.bpe"));
  EXPECT_THAT(with_tokenizer("gpt2:" STEPSCOPE_SOURCE_DIR "/tests/model/training/byte_pairs", "\xff"),
              AllOf(HasSubstr("t.txt"), HasSubstr("byte 500")));
  EXPECT_THAT(refused({"train", "--preset", "tiny", "--set",
                       "tokenizer=gpt2:" STEPSCOPE_SOURCE_DIR "/tests/model/training/byte_pairs", "--out",
                       (folder / "run").string()}),
              HasSubstr("synthetic tokens are no text"));
  EXPECT_THAT(with_source("parquet:x"), AllOf(HasSubstr("parquet:x"), HasSubstr("text:")));
}

TEST_F(BadInput, files_that_are_no_toml_or_not_there) {
  EXPECT_THAT(refused_matrix("[model\npreset = 3"), HasSubstr("m.toml:1"));
  EXPECT_THAT(refused_matrix("[#"), HasSubstr("m.toml:1"));
  EXPECT_THAT(refused_matrix(tiny + "layers = 2\nlayers = 3\n"), HasSubstr("m.toml:4"));
  EXPECT_THAT(refused({"plan", (folder / "none.toml").string()}), HasSubstr("none.toml"));
  EXPECT_THAT(refused({"plan", "--preset", "huge"}),
              AllOf(HasSubstr("huge"), HasSubstr("must be one of seed, seed-small")));
  EXPECT_THAT(refused({"plan", "/dev/zero"}), HasSubstr("/dev/zero: is no regular file"));
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refused({"plan", (folder / "pipe").string()}), HasSubstr("pipe: is no regular file"));
  const std::string large = write("large.toml", "");
  fs::resize_file(large, (16 << 20) + 1);
  EXPECT_THAT(refused({"plan", large}), HasSubstr("large.toml: is larger than the 16777216 bytes"));
}

TEST_F(BadInput, a_custom_mask_is_told_where_it_was_given) {
  const std::string mask = write("mask", "no tensors");
  EXPECT_THAT(refused({"plan", write("m.toml", tiny), "--set", "mask=[\"custom:" + mask + "\"]"}),
              HasSubstr("stepscope: --set: " + mask));
}

TEST_F(BadInput, values_that_cannot_be_shown) {
  const auto refused_set = [&](const std::string& set) { return refused({"plan", "--preset", "tiny", "--set", set}); };
  EXPECT_THAT(refused_set("source=text:\x1b[31m"), HasSubstr("\\x1b[31m: UTF-8 without control characters"));
  EXPECT_THAT(refused_set("source=\"text:\\u0000x\""), HasSubstr("\\x00x: UTF-8 without control characters"));
  EXPECT_THAT(refused({"plan", "--preset", "\xff"}), HasSubstr("--preset \\xff: UTF-8"));
  EXPECT_THAT(refused_matrix(tiny + "mask = [\"\\u001b\"]\n"), HasSubstr(":3: model.mask = \\x1b: UTF-8"));
  EXPECT_LT(refused_set("source=" + std::string(100'000, 'x')).size(), 400U);
  EXPECT_LT(refused({"plan", "--preset", std::string(100'000, 'x')}).size(), 800U);  // with every preset's name
  EXPECT_LT(refused({"plan", std::string(3'000, 'x')}).size(), 400U);
}

TEST_F(BadInput, a_matrix_of_a_million_cells) {
  std::string rates;
  for (int i = 0; i < 1000; ++i) rates += "0." + std::to_string(100000 + i) + ",";
  EXPECT_THAT(refused_matrix(tiny + "[matrix]\ndropout = [" + rates + "]\nlearning_rate = [" + rates + "]\n"),
              HasSubstr("10000"));
  std::string cells;
  for (int i = 0; i <= 10'000; ++i) cells += "[[cell]]\nseed = " + std::to_string(i) + "\n";
  EXPECT_THAT(refused_matrix(tiny + cells), HasSubstr("10001"));
}

TEST_F(BadInput, options) {
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--budget", "much"}), HasSubstr("--budget = much"));
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--set", "layers"}), HasSubstr("FIELD=VALUE"));
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--set", "colour=blue"}), HasSubstr("colour"));
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--cell", "none"}), HasSubstr("none"));
  EXPECT_THAT(refused({"plan", "--preset", "tiny", "--card", "h900"}), HasSubstr("h900"));
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--steps", "0"}), HasSubstr("steps"));
  EXPECT_THAT(refused({"train", "--preset", "tiny", "--out", (folder / "t").string()}), HasSubstr("--steps"));
  EXPECT_THAT(refused({"dance"}), HasSubstr("stepscope --help"));
  EXPECT_THAT(refused({"trian"}), HasSubstr("no command trian; the nearest is train"));
  for (const char* option : {"--weights", "--batch", "--save"})
    EXPECT_THAT(refused({"step", "--preset", "tiny", option, ""}), AllOf(HasSubstr(option), HasSubstr("is empty")));
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--save="}), HasSubstr("--save=: is empty"));
  const std::string out = (folder / "run").string();
  for (const char* seconds : {"nan", "inf", "0", "-1"})
    EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", out, "--time-limit", seconds}),
                HasSubstr("--time-limit: " + std::string(seconds) + ": seconds, above 0"));
  EXPECT_THAT(refused({"train", "--preset", "tiny", "--steps", "1", "--out", out, "--save-every", "0"}),
              HasSubstr("--save-every: 0: steps, above 0"));
}

TEST_F(BadInput, sizes_of_either_kind) {
  for (const char* fits : {"1GB", "1.5GiB", "900MB", "900000KB"}) {
    const testing::ProgramRun run = testing::run_program({"plan", "--preset", "tiny", "--budget", fits});
    EXPECT_EQ(run.status, 0) << run.error;
    EXPECT_THAT(run.out, HasSubstr("yes")) << fits;
  }
  // Between 10^6 and 2^20 bytes of 10 to 15 of them, so that the two kinds are told apart.
  const std::string json = testing::run_program({"plan", "--preset", "tiny", "--json"}).out;
  const std::string key = "\"predicted_peak\":";
  const double peak = std::stod(json.substr(json.find(key) + key.size()));
  const auto fits_in = [&](const char* unit, double bytes) {
    const std::string size = std::to_string(peak / bytes) + unit;
    return testing::run_program({"plan", "--preset", "tiny", "--json", "--budget", size}).out;
  };
  EXPECT_THAT(fits_in("MiB", 1.03e6), HasSubstr("planned"));
  EXPECT_THAT(fits_in("MB", 1.03e6), HasSubstr("does-not-fit"));
}

TEST_F(BadInput, a_step_that_does_not_fit_and_places_to_save_to) {
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--set", "hidden=1048576"}), HasSubstr("does not fit"));
  for (const std::string& place : {folder.string(), (folder / "absent" / "x").string(), std::string("/dev/null")})
    EXPECT_THAT(refused({"step", "--preset", "tiny", "--save", place}), HasSubstr("--save " + place + ": cannot be"));
}

TEST_F(BadInput, places_that_cannot_be_written) {
  write("file", "x");
  EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", (folder / "file").string()}), HasSubstr("--out"));
  EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", (folder / "file" / "run").string()}), HasSubstr("--out"));
  EXPECT_THAT(refused({"train", "--preset", "tiny", "--steps", "1", "--out", (folder / "file" / "t").string()}),
              HasSubstr("--out"));
  fs::create_directories(folder / "other");
  std::ofstream(folder / "other" / "thing") << "x";
  EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", (folder / "other").string()}), HasSubstr("no run"));
  EXPECT_THAT(refused({"report", folder.string()}), HasSubstr("not a run"));
}

TEST_F(BadInput, a_run_of_another_version) {
  fs::create_directories(folder / "old" / "cells");
  std::ofstream(folder / "old" / "environment.json") << "{\"schema\": \"stepscope.environment/0\"}";
  EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", (folder / "old").string()}),
              AllOf(HasSubstr("environment.json"), HasSubstr("schema")));
  std::ofstream(folder / "old" / "environment.json") << std::string(300'000, '[');  // as deep as no stack is
  EXPECT_THAT(refused({"run", "--preset", "tiny", "--out", (folder / "old").string()}),
              AllOf(HasSubstr("environment.json"), HasSubstr("schema")));
}

// Weights of the tiny model as the program itself saves them, then made wrong.
class BadWeights : public BadInput {
 protected:
  void SetUp() override {
    ASSERT_EQ(
        testing::run_program({"step", "--preset", "tiny", "--save", (folder / "out.safetensors").string()}).status, 0);
    for (NamedTensor& tensor : read_safetensors(folder / "out.safetensors").tensors) {
      if (!tensor.name.starts_with("updated.")) continue;
      tensor.name = tensor.name.substr(8);
      weights.push_back(tensor);
    }
  }

  std::string refused_weights() {
    const fs::path file = folder / "w.safetensors";
    write_safetensors(file, weights, {});
    return refused(
        {"step", "--preset", "tiny", "--weights", file.string(), "--save", (folder / "o.safetensors").string()});
  }

  std::vector<NamedTensor> weights;
};

TEST_F(BadWeights, the_right_ones_are_taken) {
  write_safetensors(folder / "w.safetensors", weights, {});
  EXPECT_EQ(testing::run_program({"step", "--preset", "tiny", "--weights", (folder / "w.safetensors").string()}).status,
            0);
}

TEST_F(BadWeights, not_a_number) {
  const float nan = std::nanf("");
  std::memcpy(weights[0].bytes.data() + 8, &nan, sizeof nan);
  EXPECT_THAT(refused_weights(), AllOf(HasSubstr("w.safetensors"), HasSubstr(weights[0].name)));
}

TEST_F(BadWeights, another_shape) {
  weights[0].shape = {weights[0].shape.elements()};
  EXPECT_THAT(refused_weights(), AllOf(HasSubstr(weights[0].name), HasSubstr(to_string(weights[0].shape))));
}

TEST_F(BadWeights, one_missing_and_one_too_many) {
  const std::string name = weights.back().name;
  weights.back().name = "blocks.7.mlp.up.weight";
  EXPECT_THAT(refused_weights(), ::testing::AnyOf(HasSubstr(name), HasSubstr("blocks.7.mlp.up.weight")));
}

// Names, types and shapes are told before the bytes are read: this file has a terabyte of them.
TEST_F(BadWeights, a_tensor_beyond_any_memory) {
  const std::uint64_t data = std::uint64_t{1} << 40;
  std::string header = "{\"x\":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(data) + "],\"data_offsets\":[0," +
                       std::to_string(data) + "]}}";
  const std::uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  const std::string file = write("w.safetensors", bytes + header);
  fs::resize_file(file, 8 + length + data);  // sparse
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--weights", file}), HasSubstr("no such parameter"));
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--batch", file}), HasSubstr("x is not known"));
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--set", "mask=[\"custom:" + file + "\"]"}),
              HasSubstr("mask is missing"));
}

TEST_F(BadWeights, a_header_that_claims_too_much) {
  std::string bytes(64, '\0');
  const std::uint64_t claimed = std::uint64_t{1} << 60;
  std::memcpy(bytes.data(), &claimed, sizeof claimed);
  const std::string file = write("w.safetensors", bytes);
  EXPECT_THAT(refused({"step", "--preset", "tiny", "--weights", file}), HasSubstr("w.safetensors"));
}

}  // namespace
}  // namespace stepscope
