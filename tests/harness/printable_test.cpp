// Nothing but whole, visible characters reaches a terminal in a message, and no value floods it.
#include "harness/printable.h"

#include <gtest/gtest.h>

namespace stepscope {
namespace {

TEST(Printable, whole_characters_stay) {
  for (const std::string text : {"", "kjv.txt", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x99\x82", "\xc2\xa0"}) {
    EXPECT_TRUE(is_printable(text)) << text;
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, controls_and_broken_characters_are_escaped) {
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\x1b[31m\x7f"), "\\x1b[31m\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // a terminal reads it as ESC [
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc3"), "\\xc3");  // cut
  EXPECT_EQ(printable("\xc3x"), "\\xc3x");
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");  // a slash written longer than it is
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // half of a pair
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // behind the last code point
}

TEST(Printable, whatever_is_made_printable_is) {
  for (int first = 0; first < 256; ++first)
    for (int second = 0; second < 256; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second)};
      EXPECT_TRUE(is_printable(printable(text)));
      EXPECT_EQ(is_printable(text), printable(text) == text);
    }
}

TEST(Printable, long_values_keep_their_ends_and_whole_characters) {
  EXPECT_EQ(shortened(std::string(200, 'x')), std::string(200, 'x'));
  std::string text = "a";
  while (text.size() < 5000) text += "\xe2\x82\xac";
  const std::string shown = shortened(text);
  EXPECT_LE(shown.size(), 200U);
  EXPECT_TRUE(is_printable(shown));
  EXPECT_NE(shown.find(std::to_string(text.size()) + " bytes"), std::string::npos);
}

TEST(Printable, a_message_is_one_line) {
  EXPECT_EQ(one_line("a: b\nc\t"), "a: b c\\x09");
  EXPECT_LT(one_line("file " + std::string(5000, 'x') + " is long").size(), 220U);
}

}  // namespace
}  // namespace stepscope
