// Structs to JSON and back from one list of their fields, so that a key is written in one place only.
//     void fields(auto& field, Of<Peak> auto& peak) { field("source", peak.source); field("flops_per_second", peak.flops_per_second); }
//     const nlohmann::ordered_json json = written(peak);   Peak back;  read(json, back, {"record.json", "peak"});
// An absent optional is null; NaN is null and null reads as NaN. Reading throws UsageError naming file, key, what was found and expected.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "model/base/error.h"

namespace stepscope {

template <class T, class U>
concept Of = std::same_as<std::remove_const_t<T>, U>;

// An enum whose names stand in a table beside it.
template <class E>
concept Named = std::is_enum_v<E> && requires(E e) {
  { name_of(e) } -> std::convertible_to<std::string_view>;
};

struct Place {  // where a value stands, for messages
  std::string file, key;
  [[nodiscard]] Place in(std::string_view name) const {
    return {file, key.empty() ? std::string(name) : fmt::format("{}.{}", key, name)};
  }
};

[[noreturn]] inline void wrong(const Place& place, const nlohmann::ordered_json& found, std::string_view expected) {
  std::string text = found.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw UsageError(fmt::format("{}: key \"{}\": found {}, expected {}", place.file, place.key, text, expected));
}

class FieldWriter;
class FieldReader;

// ---- writing
inline nlohmann::ordered_json written(const std::string& text) { return text; }
inline nlohmann::ordered_json written(const nlohmann::ordered_json& json) { return json; }
inline nlohmann::ordered_json written(bool flag) { return flag; }
template <std::integral I>
nlohmann::ordered_json written(I number) {
  return number;
}
inline nlohmann::ordered_json written(double number) {
  return std::isfinite(number) ? nlohmann::ordered_json(number) : nlohmann::ordered_json(nullptr);
}
template <Named E>
nlohmann::ordered_json written(E value) {
  return std::string(name_of(value));
}
template <class T>
nlohmann::ordered_json written(const std::optional<T>& value);
template <class T>
nlohmann::ordered_json written(const std::vector<T>& values);
template <class T>
nlohmann::ordered_json written(const std::vector<std::pair<std::string, T>>& entries);
template <class T>
requires requires(FieldWriter& w, const T& t) { fields(w, t); }
nlohmann::ordered_json written(const T& value);

class FieldWriter {
 public:
  template <class T>
  void operator()(const char* key, const T& value) {
    json_[key] = written(value);
  }
  nlohmann::ordered_json take() { return std::move(json_); }

 private:
  nlohmann::ordered_json json_ = nlohmann::ordered_json::object();
};

template <class T>
nlohmann::ordered_json written(const std::optional<T>& value) {
  return value ? written(*value) : nlohmann::ordered_json(nullptr);
}
template <class T>
nlohmann::ordered_json written(const std::vector<T>& values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const T& value : values) list.push_back(written(value));
  return list;
}
template <class T>
nlohmann::ordered_json written(const std::vector<std::pair<std::string, T>>& entries) {
  nlohmann::ordered_json object = nlohmann::ordered_json::object();
  for (const auto& [name, value] : entries) object[name] = written(value);
  return object;
}
template <class T>
requires requires(FieldWriter& w, const T& t) { fields(w, t); }
nlohmann::ordered_json written(const T& value) {
  FieldWriter writer;
  fields(writer, value);
  return writer.take();
}

// ---- reading
inline void read(const nlohmann::ordered_json& json, std::string& text, const Place& place) {
  if (!json.is_string()) wrong(place, json, "a text");
  text = json.get<std::string>();
}
inline void read(const nlohmann::ordered_json& json, nlohmann::ordered_json& any, const Place&) { any = json; }
inline void read(const nlohmann::ordered_json& json, bool& flag, const Place& place) {
  if (!json.is_boolean()) wrong(place, json, "true or false");
  flag = json.get<bool>();
}
template <std::integral I>
void read(const nlohmann::ordered_json& json, I& number, const Place& place) {
  if (!json.is_number_integer()) wrong(place, json, "a whole number");
  const bool too_large = json.is_number_unsigned() &&
                         json.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<I>::max());
  if (too_large || !std::in_range<I>(json.get<std::int64_t>())) wrong(place, json, "a whole number that fits");
  number = static_cast<I>(json.get<std::int64_t>());
}
inline void read(const nlohmann::ordered_json& json, double& number, const Place& place) {
  if (!json.is_number() && !json.is_null()) wrong(place, json, "a number");
  number = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
}
template <Named E>
void read(const nlohmann::ordered_json& json, E& value, const Place& place);  // beside each enum
template <class T>
void read(const nlohmann::ordered_json& json, std::optional<T>& value, const Place& place);
template <class T>
void read(const nlohmann::ordered_json& json, std::vector<T>& values, const Place& place);
template <class T>
void read(const nlohmann::ordered_json& json, std::vector<std::pair<std::string, T>>& entries, const Place& place);
template <class T>
requires requires(FieldReader& r, T& t) { fields(r, t); }
void read(const nlohmann::ordered_json& json, T& value, const Place& place);

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

class FieldReader {
 public:
  FieldReader(const nlohmann::ordered_json& json, const Place& place) : json_(json), place_(place) {
    if (!json.is_object()) wrong(place, json, "an object");
  }
  template <class T>
  void operator()(const char* key, T& value) {
    const auto found = json_.find(key);
    if (found != json_.end()) return read(*found, value, place_.in(key));
    if constexpr (is_optional<T>) {
      value.reset();
    } else {
      throw UsageError(fmt::format("{}: key \"{}\" is missing", place_.file, place_.in(key).key));
    }
  }

 private:
  const nlohmann::ordered_json& json_;
  const Place& place_;
};

template <class T>
void read(const nlohmann::ordered_json& json, std::optional<T>& value, const Place& place) {
  value.reset();
  if (!json.is_null()) read(json, value.emplace(), place);
}
template <class T>
void read(const nlohmann::ordered_json& json, std::vector<T>& values, const Place& place) {
  if (!json.is_array()) wrong(place, json, "a list");
  values.resize(json.size());
  for (std::size_t i = 0; i < values.size(); ++i) read(json[i], values[i], place.in(std::to_string(i)));
}
template <class T>
void read(const nlohmann::ordered_json& json, std::vector<std::pair<std::string, T>>& entries, const Place& place) {
  if (!json.is_object()) wrong(place, json, "an object");
  entries.clear();
  for (const auto& [name, value] : json.items()) read(value, entries.emplace_back(name, T{}).second, place.in(name));
}
template <class T>
requires requires(FieldReader& r, T& t) { fields(r, t); }
void read(const nlohmann::ordered_json& json, T& value, const Place& place) {
  FieldReader reader(json, place);
  fields(reader, value);
}

// ---- files
[[nodiscard]] nlohmann::ordered_json parse_json_file(
    const std::string& file);  // UsageError: missing, or not JSON and where
void require_schema(const nlohmann::ordered_json& json, std::string_view expected, const std::string& file);

}  // namespace stepscope
