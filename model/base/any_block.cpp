#include "model/base/any_block.h"

#include <algorithm>

namespace stepscope {

std::string any_block(const std::string& site) {
  std::string result;
  for (std::size_t begin = 0; begin <= site.size();) {
    const std::size_t end = std::min(site.find('.', begin), site.size());
    const std::string part = site.substr(begin, end - begin);
    const bool index = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    result += (result.empty() ? "" : ".") + (index ? "*" : part);
    begin = end + 1;
  }
  return result;
}

}  // namespace stepscope
