#include "model/base/json.h"

#include <set>

namespace stepscope {

namespace {

// Builds nothing. The parser's own callback would do, but it searches a whole object for every value in it.
class Walk final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walk(int deepest) : deepest_(deepest) {}
  JsonOutline outline;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return begins(); }
  bool start_array(std::size_t) override { return begins(); }
  bool end_object() override { return ends(); }
  bool end_array() override { return ends(); }
  bool key(string_t& name) override {
    if (depth_ == 1 && !names_.insert(name).second && !outline.twice) outline.twice = name;
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception&) override {
    outline.wrong_byte = byte;
    return false;
  }

 private:
  bool begins() {
    outline.too_deep = ++depth_ > deepest_;
    return !outline.too_deep;
  }
  bool ends() {
    --depth_;
    return true;
  }

  int deepest_, depth_ = 0;
  std::set<std::string> names_;
};

}  // namespace

JsonOutline outline_of(std::string_view text, int deepest) {
  Walk walk(deepest);
  (void)nlohmann::json::sax_parse(text, &walk);
  return walk.outline;
}

}  // namespace stepscope
