// Weights in files: what is written is read, and a file made by another hand, or broken, is read or refused by the format's rules.
#include "model/training/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/base/error.h"
#include "model/base/file.h"
#include "tests/support/temporary_folder.h"

namespace stepscope {
namespace {

class Safetensors : public TemporaryFolder {
 protected:
  void SetUp() override { path = folder / "w.safetensors"; }

  void write_plainly(const std::string& bytes) const { std::ofstream(path, std::ios::binary) << bytes; }
  void write_raw(std::uint64_t length, const std::string& header, const std::string& data = "") const {
    std::string text(8, '\0');
    std::memcpy(text.data(), &length, 8);
    write_plainly(text + header + data);
  }
  void write_header(const std::string& header, std::size_t data_bytes = 0) const {
    write_raw(header.size(), header, std::string(data_bytes, 'd'));
  }

  [[nodiscard]] std::string refusal() const {
    try {
      static_cast<void>(read_safetensors(path));
    } catch (const UsageError& error) {
      const std::string what = error.what();
      EXPECT_EQ(what.find('\n'), std::string::npos) << what;
      EXPECT_EQ(what.find(path.string() + ": "), 0u) << what;
      return what.substr(std::min(what.size(), path.string().size() + 2));
    }
    return "nothing was refused";
  }

  std::filesystem::path path;
};

NamedTensor tensor(const std::string& name, DType dtype, const Shape& shape) {
  NamedTensor made{name, dtype, shape, {}};
  for (std::int64_t i = 0; i < shape.elements() * size_bytes(dtype); ++i)
    made.bytes.push_back(static_cast<std::byte>(i * 7 + static_cast<std::int64_t>(name.size())));
  return made;
}

const std::vector<NamedTensor>& one_of_each() {
  static const std::vector<NamedTensor> tensors = {
      tensor("u", DType::u8, {3}),         tensor("d", DType::fp64, {2, 2}),           tensor("f", DType::fp32, {}),
      tensor("half", DType::fp16, {1, 5}), tensor("brain", DType::bf16, {2, 1, 3, 2}), tensor("i", DType::int32, {4}),
      tensor("empty", DType::fp32, {0, 7})};
  return tensors;
}

TEST_F(Safetensors, reads_what_it_wrote) {
  const Metadata metadata = {{"made_by", "a test"}, {"odd \"key\"", "two\nlines \xc3\xa4"}};
  write_safetensors(path, one_of_each(), metadata);
  const TensorFile file = read_safetensors(path);
  EXPECT_EQ(file.metadata, metadata);
  ASSERT_EQ(file.tensors.size(), one_of_each().size());
  for (const NamedTensor& expected : one_of_each()) {
    const NamedTensor* found = file.find(expected.name);
    ASSERT_NE(found, nullptr) << expected.name;
    EXPECT_EQ(*found, expected);
  }
  EXPECT_EQ(file.find("absent"), nullptr);
}

// The header's length and every tensor's place divide by what reads them, so that a mapped file can be used as it is.
TEST_F(Safetensors, is_aligned) {
  write_safetensors(path, one_of_each(), {{"k", "v"}});
  std::uint64_t length = 0;
  const std::string text = read_file(path);
  std::memcpy(&length, text.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(text[8], '{');
  std::uint64_t offset = 0;
  for (const NamedTensor& t : read_safetensors(path).tensors) {
    EXPECT_EQ(offset % static_cast<std::uint64_t>(size_bytes(t.dtype)), 0u) << t.name;
    offset += t.bytes.size();
  }
  EXPECT_EQ(8 + length + offset, text.size());
}

TEST_F(Safetensors, no_tensor_and_no_metadata_is_a_file_too) {
  write_safetensors(path, {});
  EXPECT_TRUE(read_safetensors(path).tensors.empty());
  EXPECT_TRUE(read_safetensors(path).metadata.empty());
}

TEST_F(Safetensors, reads_any_order_and_spacing) {
  const std::string header =
      R"( {"b" : {"data_offsets":[4,6], "shape":[2], "dtype":"U8"}, "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":null}} )";
  write_raw(header.size(), header, "aaaabb");
  const TensorFile file = read_safetensors(path);
  ASSERT_NE(file.find("b"), nullptr);
  EXPECT_EQ(file.find("b")->bytes, std::vector<std::byte>(2, std::byte{'b'}));
  EXPECT_EQ(file.tensors[0].name, "a");
}

TEST_F(Safetensors, reads_truth_values_as_bytes_and_one_tensor_at_a_time) {
  write_header(
      R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[],"data_offsets":[3,4]}})",
      4);
  EXPECT_EQ(read_safetensors(path).find("a")->dtype, DType::u8);
  write_safetensors(path, one_of_each());
  const TensorReader reader(path);
  ASSERT_EQ(reader.header().tensors.size(), one_of_each().size());
  for (std::size_t i = one_of_each().size(); i-- > 0;) {
    NamedTensor tensor = reader.header().tensors[i];
    tensor.bytes = reader.bytes_of(i);
    EXPECT_EQ(tensor, *read_safetensors(path).find(tensor.name));
  }
}

TEST_F(Safetensors, refuses_files_that_end_early) {
  write_plainly("abc");
  EXPECT_EQ(refusal(), "is no safetensors file: 3 bytes, the header's length alone needs 8");
  write_raw(std::uint64_t{1} << 60, "{}");
  EXPECT_EQ(refusal(), "is truncated or no safetensors file: a header of 1152921504606846976 bytes in a file of 10");
  write_raw(3, "{}");
  EXPECT_EQ(refusal(), "is truncated or no safetensors file: a header of 3 bytes in a file of 10");
  write_raw(~std::uint64_t{0}, "{}");
  EXPECT_NE(refusal().find("is truncated or no safetensors file"), std::string::npos);
}

// Every prefix of a good file is refused: none is read as something smaller.
TEST_F(Safetensors, refuses_every_prefix) {
  write_safetensors(path, std::span(one_of_each()).first(2), {{"k", "v"}});
  const std::string whole = read_file(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_plainly(whole.substr(0, length));
    EXPECT_NE(refusal(), "nothing was refused") << length;
  }
}

TEST_F(Safetensors, refuses_headers_that_are_no_header) {
  write_header("{not json}");
  EXPECT_EQ(refusal(), "has a header that is not JSON");
  write_header("[1]");
  EXPECT_EQ(refusal(), "has a header that is not a JSON object");
  write_header(std::string(100000, '['));
  EXPECT_EQ(refusal(), "has a header that is nested deeper than a header is");
  write_header("{\"a\xff\":1}");
  EXPECT_EQ(refusal(), "has a header that is not JSON");
  write_header(R"({"__metadata__":{"a":1}})");
  EXPECT_EQ(refusal(), R"(has metadata "a" that is not a string)");
  write_header(R"({"__metadata__":3})");
  EXPECT_EQ(refusal(), "has metadata that are not an object of strings");
  write_header(R"({"a\nb":3})");
  EXPECT_EQ(refusal(), R"(tensor "a\nb" is not described by an object)");
}

// The parser's callback would search all of them for each: a minute of work.
TEST_F(Safetensors, reads_a_hundred_thousand_tensors_at_once) {
  std::string header = "{";
  for (int i = 0; i < 100'000; ++i)
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i) + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  write_header(header + "}");
  EXPECT_EQ(read_safetensors(path).tensors.size(), 100'000U);
}

TEST_F(Safetensors, refuses_two_of_one_name) {
  write_header(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
      2);
  EXPECT_EQ(refusal(), R"(tensor "a" is there twice)");
}

TEST_F(Safetensors, refuses_tensors_that_do_not_add_up) {
  const auto refused = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    write_header(R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}", 8);
    return refusal();
  };
  EXPECT_EQ(refused(R"("F32")", "[2]", "[0,8]"), "nothing was refused");
  EXPECT_EQ(refused(R"("F31")", "[2]", "[0,8]"),
            R"(tensor "a" has dtype "F31", known are F64, F32, BF16, F16, I32 and U8)");
  EXPECT_EQ(refused("7", "[2]", "[0,8]"), R"(tensor "a" has dtype 7, known are F64, F32, BF16, F16, I32 and U8)");
  EXPECT_EQ(refused(std::string(1'000'000, '[') + std::string(1'000'000, ']'), "[2]", "[0,8]"),  // deeper than a stack
            "has a header that is nested deeper than a header is");
  EXPECT_EQ(refused("[[]]", "[2]", "[0,8]"),
            R"(tensor "a" has dtype [...], known are F64, F32, BF16, F16, I32 and U8)");
  EXPECT_EQ(refused(R"("F32")", "[3]", "[0,8]"), R"(tensor "a" has 8 bytes, but F32[3] needs 12)");
  EXPECT_EQ(refused(R"("F32")", "[2]", "[0,9]"),
            R"(tensor "a" lies at bytes 0 to 9 of 8: the file is truncated or its header is wrong)");
  EXPECT_EQ(refused(R"("F32")", "[2]", "[8,0]"),
            R"(tensor "a" lies at bytes 8 to 0 of 8: the file is truncated or its header is wrong)");
  EXPECT_EQ(refused(R"("F32")", "[2]", "[0,18446744073709551615]"),
            R"(tensor "a" lies at bytes 0 to 18446744073709551615 of 8: the file is truncated or its header is wrong)");
  EXPECT_EQ(refused(R"("F32")", "[2]", "[0]"), R"(tensor "a" needs two data_offsets, begin and end)");
  EXPECT_EQ(refused(R"("F32")", "[2]", "[-1,8]"), R"(tensor "a" has something else than counts in its data_offsets)");
  EXPECT_EQ(refused(R"("F32")", "[2.0]", "[0,8]"), R"(tensor "a" has something else than counts in its shape)");
  EXPECT_EQ(refused(R"("F32")", "2", "[0,8]"), R"(tensor "a" has a shape that is not a list)");
  EXPECT_EQ(refused(R"("F32")", "[1,1,1,1,2]", "[0,8]"), R"(tensor "a" has 5 axes, at most 4 are known)");
  EXPECT_EQ(refused(R"("F32")", "[4611686018427387905,4]", "[0,8]"), R"(tensor "a" has a shape beyond any memory)");
  EXPECT_EQ(refused(R"("F32")", "[1]", "[0,4]"), "has 4 bytes behind its last tensor");
  EXPECT_EQ(refused(R"("F32")", "[1]", "[4,8]"), R"(tensor "a" has 4 unused bytes before it)");
  write_header(R"({"a":{"dtype":"U8","shape":[1]}})", 1);
  EXPECT_EQ(refusal(), R"(tensor "a" has no data_offsets)");
}

TEST_F(Safetensors, refuses_shared_bytes) {
  write_header(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
      7);
  EXPECT_EQ(refusal(), R"(tensor "b" overlaps the tensor before it)");
  write_header(
      R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
      4);
  EXPECT_EQ(refusal(), R"(tensor "b" overlaps the tensor before it)");
}

TEST_F(Safetensors, missing_file) { EXPECT_EQ(refusal(), "there is no such file"); }

TEST_F(Safetensors, never_writes_what_it_would_not_read) {
  const std::vector<NamedTensor> twice = {tensor("a", DType::u8, {1}), tensor("a", DType::u8, {1})};
  EXPECT_THROW(write_safetensors(path, twice), ProgramError);
  std::vector<NamedTensor> short_one = {tensor("a", DType::fp32, {2})};
  short_one[0].bytes.pop_back();
  EXPECT_THROW(write_safetensors(path, short_one), ProgramError);
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace stepscope
