// What may stand in a line on a terminal: whole UTF-8 characters, none of them a control character. Everything else is escaped.
//     is_printable("kjv.txt")                     // true
//     printable("a\x1b[31m")                      // "a\x1b[31m" as nine visible characters
//     shortened(std::string(5000, 'x'))           // its beginning and end, and how long it was
#pragma once

#include <string>
#include <string_view>

namespace stepscope {

[[nodiscard]] bool is_printable(std::string_view text);
[[nodiscard]] std::string printable(std::string_view text);  // bytes that are not become \x1b
[[nodiscard]] std::string shortened(std::string_view text);  // unchanged up to 200 bytes; no character is cut

// One line of a message: a line's end becomes a space, words are shortened, the rest is made printable.
[[nodiscard]] std::string one_line(std::string_view message);

}  // namespace stepscope
