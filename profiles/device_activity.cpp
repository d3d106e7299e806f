#include "profiles/device_activity.h"

namespace stepscope {

namespace {

constexpr int operation_bits = 22, step_bits = 19;
constexpr std::uint64_t ours = std::uint64_t{1} << 63, set_up_bit = std::uint64_t{1} << 62;

std::uint64_t low(std::uint64_t number, int bits) { return number & ((std::uint64_t{1} << bits) - 1); }

}  // namespace

std::uint64_t packed(const WorkOwner& owner) {
  const auto field = [](std::int64_t value, int bits) { return low(static_cast<std::uint64_t>(value), bits); };
  return ours | (owner.set_up ? set_up_bit : 0) |
         field(std::int64_t{owner.step} + 1, step_bits) << (operation_bits + step_bits) |
         field(owner.micro_step, step_bits) << operation_bits |
         field(std::int64_t{owner.operation} + 1, operation_bits);
}

std::optional<WorkOwner> unpacked(std::uint64_t number) {
  if ((number & ours) == 0) return std::nullopt;
  const auto value = [](std::uint64_t field) { return static_cast<std::int32_t>(field); };
  return WorkOwner{.step = value(low(number >> (operation_bits + step_bits), step_bits)) - 1,
                   .micro_step = value(low(number >> operation_bits, step_bits)),
                   .operation = value(low(number, operation_bits)) - 1,
                   .set_up = (number & set_up_bit) != 0};
}

}  // namespace stepscope
