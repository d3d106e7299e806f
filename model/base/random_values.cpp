#include "model/base/random_values.h"

#include <cmath>
#include <numbers>

#include "model/base/hash.h"
#include "model/base/philox.h"

namespace stepscope {

namespace {

constexpr double inside_two_deviations =
    0.954499736103641585;  // erf(sqrt(2)): the share of a normal within 2 deviations
constexpr double deviation_after_truncation = 0.879625662739846866;  // of a unit normal cut at +-2

template <std::size_t N>
double polynomial(const double (&coefficients)[N], double x) {  // highest power first
  double sum = 0;
  for (const double c : coefficients) sum = sum * x + c;
  return sum;
}

double inverse_erf(double x) {
  constexpr double central[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
  constexpr double tail[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                             -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
  const double w = -std::log((1 - x) * (1 + x));
  return x * (w < 5 ? polynomial(central, w - 2.5) : polynomial(tail, std::sqrt(w) - 3));
}

void fill(std::span<float> values, double share, double scale, std::uint64_t seed, std::string_view name,
          std::int64_t first) {
  const std::uint64_t stream = hash_of(name);
  Words4 words{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto index = static_cast<std::uint64_t>(first) + i;
    if (i == 0 || index % 4 == 0)
      words = philox(static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32),
                     {{static_cast<std::uint32_t>(index / 4), static_cast<std::uint32_t>(index >> 34),
                       static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}});
    const double centred = (2.0 * words.word[index % 4] + 1.0) * 0x1p-32 - 1.0;  // in (-1, 1), never an end
    values[i] = static_cast<float>(scale * std::numbers::sqrt2 * inverse_erf(share * centred));
  }
}

}  // namespace

void fill_normal(std::span<float> values, double deviation, std::uint64_t seed, std::string_view name,
                 std::int64_t first) {
  fill(values, 1.0, deviation, seed, name, first);
}

void fill_truncated_normal(std::span<float> values, double deviation, std::uint64_t seed, std::string_view name,
                           std::int64_t first) {
  fill(values, inside_two_deviations, deviation / deviation_after_truncation, seed, name, first);
}

}  // namespace stepscope
