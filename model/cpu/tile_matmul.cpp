#include "model/cpu/tile_matmul.h"

#include <dnnl.h>
#include <dnnl.hpp>

#include <array>
#include <map>
#include <mutex>
#include <string>

#include "model/base/error.h"
#include "model/cpu/library_guard.h"
#include "model/cpu/threads.h"

namespace stepscope {
namespace {

using MemoryDescriptor = dnnl::memory::desc;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type type_of(DType dtype) {
  if (dtype == DType::fp16) return dnnl::memory::data_type::f16;
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// A stride along an axis of one element means nothing, but oneDNN picks kernels by it, and then shares them through a cache that
// does not compare it: two kernels with two sizes of scratch would pass for one. So such strides are set by the others.
MemoryDescriptor matrix(std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t stride, DType dtype) {
  std::int64_t down = transposed ? 1 : stride, across = transposed ? stride : 1;
  if (columns == 1) across = 1;
  if (rows == 1) down = columns * across;
  return {{rows, columns}, type_of(dtype), dnnl::memory::dims{down, across}};
}

dnnl::matmul::primitive_desc describe(const TileSpec& s) {
  const MemoryDescriptor a = matrix(s.m, s.k, s.transpose_a, s.a_stride, s.in);
  const MemoryDescriptor b = matrix(s.k, s.n, s.transpose_b, s.b_stride, s.in);
  const MemoryDescriptor c = matrix(s.m, s.n, false, s.c_stride, s.out);
  const MemoryDescriptor bias = s.bias ? matrix(1, s.n, false, s.n, s.in) : MemoryDescriptor();
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s.add) {
    dnnl::post_ops sum;
    sum.append_sum(1.0F);
    attributes.set_post_ops(sum);
  }
#if DNNL_VERSION_MAJOR >= 3
  return {cpu_engine(), a, b, bias, c, attributes};
#else
  return {dnnl::matmul::desc(a, b, bias, c), attributes, cpu_engine()};
#endif
}

std::string text_of(const TileSpec& s) {
  return "a matmul [" + std::to_string(s.m) + "," + std::to_string(s.k) + "] x [" + std::to_string(s.k) + "," +
         std::to_string(s.n) + "] of " + std::string(name_of(s.in));
}

void check(dnnl_status_t status) {
  if (status != dnnl_success) throw MachineError("oneDNN failed in a matmul, status " + std::to_string(status));
}

}  // namespace

struct TileMatmul::Primitive {
  explicit Primitive(const TileSpec& s) : spec(s), description(describe(s)) {}

  const dnnl::matmul& compiled() {
    std::call_once(once, [this] {
      use_one_openmp_thread();
      primitive = dnnl::matmul(description);
      const auto* own = dnnl_primitive_desc_query_md(primitive.get_primitive_desc(), dnnl_query_scratchpad_md, 0);
      if (own != nullptr && dnnl_memory_desc_get_size(own) > description.scratchpad_desc().get_size())
        throw MachineError("oneDNN compiled another kernel than it planned for " + text_of(spec));
    });
    return primitive;
  }

  TileSpec spec;
  dnnl::matmul::primitive_desc description;
  std::once_flag once;
  dnnl::matmul primitive;
};

TileMatmul::TileMatmul(std::unique_ptr<Primitive> primitive) : primitive_(std::move(primitive)) {}
TileMatmul::~TileMatmul() = default;

std::shared_ptr<TileMatmul> TileMatmul::get(const TileSpec& spec) {
  static std::mutex mutex;
  static std::map<TileSpec, std::shared_ptr<TileMatmul>> cache;
  const std::lock_guard lock(mutex);
  std::shared_ptr<TileMatmul>& tile = cache[spec];
  if (tile) return tile;
  use_one_openmp_thread();  // blocking and scratch follow OpenMP's number of threads at this moment
  try {
    tile.reset(new TileMatmul(std::make_unique<Primitive>(spec)));
  } catch (const dnnl::error& error) {
    throw MachineError("oneDNN cannot make " + text_of(spec) + ": " + error.what());
  }
  return tile;
}

std::int64_t TileMatmul::scratch_bytes_of(TileSpec spec) {
  if (spec.in != DType::fp32) try {
      return get(spec)->scratch_bytes();
    } catch (const MachineError&) {
      spec.in = spec.out = DType::fp32;
    }
  return get(spec)->scratch_bytes();
}

std::int64_t TileMatmul::scratch_bytes() const {
  return static_cast<std::int64_t>(primitive_->description.scratchpad_desc().get_size());
}

const char* TileMatmul::implementation() const { return primitive_->description.impl_info_str(); }

struct TileMatmul::Call::Handles {
  explicit Handles(std::shared_ptr<TileMatmul> shared)
      : tile(std::move(shared)), stream(cpu_engine()), primitive(tile->primitive_->compiled().get()) {
    const dnnl::matmul::primitive_desc& d = tile->primitive_->description;
    add(DNNL_ARG_SRC, d.src_desc());
    add(DNNL_ARG_WEIGHTS, d.weights_desc());
    add(DNNL_ARG_DST, d.dst_desc());
    if (tile->primitive_->spec.bias) add(DNNL_ARG_BIAS, d.bias_desc());
    if (tile->scratch_bytes() > 0) add(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc());
  }

  void add(int argument, const MemoryDescriptor& description) {
    memories[static_cast<std::size_t>(count)] = dnnl::memory(description, cpu_engine(), nullptr);
    arguments[static_cast<std::size_t>(count)] = {argument, memories[static_cast<std::size_t>(count)].get()};
    ++count;
  }

  void point(int at, const void* data) const {
    check(dnnl_memory_set_data_handle(arguments[static_cast<std::size_t>(at)].memory, const_cast<void*>(data)));
  }

  std::shared_ptr<TileMatmul> tile;
  dnnl::stream stream;
  dnnl_primitive_t primitive;
  int count = 0;
  std::array<dnnl::memory, 5> memories;
  std::array<dnnl_exec_arg_t, 5> arguments{};
};

TileMatmul::Call::Call(std::shared_ptr<TileMatmul> tile) {
  try {
    handles_ = std::make_unique<Handles>(std::move(tile));
  } catch (const dnnl::error& error) {
    throw MachineError(std::string("oneDNN cannot compile a matmul: ") + error.what());
  }
}
TileMatmul::Call::~Call() = default;
TileMatmul::Call::Call(Call&&) noexcept = default;
TileMatmul::Call& TileMatmul::Call::operator=(Call&&) noexcept = default;

void TileMatmul::Call::run(const void* a, const void* b, void* c, const void* bias, void* scratch) const {
  const LibraryGuard guard;
  const Handles& h = *handles_;
  h.point(0, a);
  h.point(1, b);
  h.point(2, c);
  int next = 3;
  if (h.tile->primitive_->spec.bias) h.point(next++, bias);
  if (next < h.count) h.point(next, scratch);
  check(dnnl_primitive_execute(h.primitive, h.stream.get(), h.count, h.arguments.data()));
}

}  // namespace stepscope
