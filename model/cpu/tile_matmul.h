// One matmul on one thread, by oneDNN: the piece that tiled matmuls and attention are made of. Shapes are fixed when it is
// made, addresses are given in every call, scratch memory is the caller's.
//     const auto tile = TileMatmul::get({.m = 128, .n = 256, .k = 1024, .a_stride = 1024, .b_stride = 256, .c_stride = 256});
//     TileMatmul::Call call(tile);                    // one a thread and place of use
//     call.run(a, b, c, nullptr, scratch);            // c = a b, or c += a b where spec.add
// Sums run over k in fp32 in one order that no other argument of the call changes. Tiles are shared through a cache of the
// process: equal specs give one object. Strides are in elements between stored rows. Throws MachineError where oneDNN refuses.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>

#include "model/base/dtype.h"

namespace stepscope {

struct TileSpec {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;  // a is stored [k, m], otherwise [m, k]
  bool transpose_b = false;  // b is stored [n, k], otherwise [k, n]
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  DType in = DType::fp32;  // of a, b and bias: fp32, bf16 or fp16
  DType out = DType::fp32;  // fp32, or as in
  bool bias = false;  // [n], added to every row
  bool add = false;  // c += instead of c =
  auto operator<=>(const TileSpec&) const = default;
};

class TileMatmul {
 public:
  // What a plan needs to know. Of types that this processor's library does not multiply, planned for a card: those of fp32.
  [[nodiscard]] static std::int64_t scratch_bytes_of(TileSpec spec);
  [[nodiscard]] static std::shared_ptr<TileMatmul> get(const TileSpec& spec);
  ~TileMatmul();
  TileMatmul(const TileMatmul&) = delete;
  TileMatmul& operator=(const TileMatmul&) = delete;

  [[nodiscard]] std::int64_t scratch_bytes()
      const;  // 256-byte aligned memory that a call needs; cheap: nothing is compiled
  [[nodiscard]] const char* implementation() const;  // oneDNN's name of the kernel chosen

  // The handles of one thread. Making one compiles the kernel the first time; run allocates nothing of ours.
  class Call {
   public:
    explicit Call(std::shared_ptr<TileMatmul> tile);
    ~Call();
    Call(Call&&) noexcept;
    Call& operator=(Call&&) noexcept;
    void run(const void* a, const void* b, void* c, const void* bias, void* scratch) const;

   private:
    struct Handles;
    std::unique_ptr<Handles> handles_;
  };

 private:
  struct Primitive;
  explicit TileMatmul(std::unique_ptr<Primitive> primitive);
  std::unique_ptr<Primitive> primitive_;
};

}  // namespace stepscope
