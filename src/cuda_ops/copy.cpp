#include "cuda_ops/copy.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"

#include <algorithm>
#include <optional>

namespace penstock::cuda_ops {
namespace {

using kernels::Transpose;
using kernels::Walk;

/// One kernel for each number of bytes of an element.
const Kernel& kernel_of(std::size_t bytes, const Kernel (&kernels)[5]) {
  switch (bytes) {
    case 1: return kernels[0];
    case 2: return kernels[1];
    case 4: return kernels[2];
    case 8: return kernels[3];
    default: return kernels[4];
  }
}

/// What moves from one tensor to another without a look at it.
struct Move {
  std::byte* to;
  const std::byte* from;
  std::size_t bytes;  ///< Of an element.
  Walk<2> walk;
};

/// Takes neighbors as one larger element, where both sides and their addresses allow that.
void widen(Move& move) {
  Walk<2>& walk = move.walk;
  const auto last = static_cast<std::size_t>(walk.rank - 1);
  while (walk.rank > 0 && move.bytes < 16 && walk.stride[0][last] == 1 && walk.stride[1][last] == 1 &&
         walk.size[last] % 2 == 0) {
    const std::uintptr_t addresses =
        reinterpret_cast<std::uintptr_t>(move.to) | reinterpret_cast<std::uintptr_t>(move.from);
    bool fits = addresses % (2 * move.bytes) == 0;
    for (std::size_t d = 0; d < last; ++d)
      fits = fits && walk.stride[0][d] % 2 == 0 && walk.stride[1][d] % 2 == 0;
    if (!fits) return;
    for (std::size_t d = 0; d < last; ++d) {
      walk.stride[0][d] /= 2;
      walk.stride[1][d] /= 2;
    }
    walk.size[last] /= 2;
    walk.count /= 2;
    move.bytes *= 2;
  }
}

/// The walk as a transposition, where the two sides have different dimensions innermost and both are long
/// enough to fill tiles.
std::optional<Transpose> as_transpose(const Walk<2>& walk) {
  constexpr std::int64_t kLeast = 8;
  const auto rank = static_cast<std::size_t>(walk.rank);
  if (rank < 2) return std::nullopt;
  const std::size_t inner = rank - 1;
  if (walk.stride[0][inner] != 1 || walk.stride[1][inner] == 1 || walk.size[inner] < kLeast)
    return std::nullopt;
  const auto begin = walk.stride[1].begin();
  const auto other = static_cast<std::size_t>(std::find(begin, begin + walk.rank, 1) - begin);
  if (other >= rank || walk.size[other] < kLeast) return std::nullopt;
  Transpose shape{.around = {},
                  .rows = walk.size[other],
                  .columns = walk.size[inner],
                  .to_row = walk.stride[0][other],
                  .from_column = walk.stride[1][inner]};
  std::size_t made = 0;
  for (std::size_t d = 0; d < inner; ++d) {
    if (d == other) continue;
    shape.around.size[made] = walk.size[d];
    shape.around.stride[0][made] = walk.stride[0][d];
    shape.around.stride[1][made++] = walk.stride[1][d];
  }
  shape.around.rank = static_cast<int>(made);
  shape.around.count = walk.count / (shape.rows * shape.columns);
  return shape;
}

void move_by_kernel(const shim::CudaCall& call, Move move) {
  static constexpr Kernel kTransposes[5]{{kCopyImage, "penstock_transpose_1"},
                                         {kCopyImage, "penstock_transpose_2"},
                                         {kCopyImage, "penstock_transpose_4"},
                                         {kCopyImage, "penstock_transpose_8"},
                                         {kCopyImage, "penstock_transpose_16"}};
  static constexpr Kernel kCopies[5]{{kCopyImage, "penstock_copy_1"},
                                     {kCopyImage, "penstock_copy_2"},
                                     {kCopyImage, "penstock_copy_4"},
                                     {kCopyImage, "penstock_copy_8"},
                                     {kCopyImage, "penstock_copy_16"}};
  if (const auto shape = as_transpose(move.walk)) {
    const auto tiles = [](std::int64_t size) {
      return (size + kernels::kTransposeTile - 1) / kernels::kTransposeTile;
    };
    const std::int64_t count = tiles(shape->rows) * tiles(shape->columns) * shape->around.count;
    kernel_of(move.bytes, kTransposes)
        .launch(call, grid_of_blocks(call, count, kernels::kTransposeThreads), move.to, move.from, *shape);
    return;
  }
  widen(move);
  kernel_of(move.bytes, kCopies).launch(call, grid_for(call, move.walk.count), move.to, move.from, move.walk);
}

/// True for elements one after the other.
template <int kTensors>
bool is_one_block(const Walk<kTensors>& walk) {
  if (walk.rank == 0) return true;
  return walk.rank == 1 &&
         std::ranges::all_of(walk.stride, [](const auto& strides) { return strides[0] == 1; });
}

}  // namespace

void copy(const shim::CudaCall& call, const tensor::TensorObject& to, const tensor::TensorObject& from) {
  if (to.numel == 0 && std::ranges::equal(to.sizes(), from.sizes())) return;
  check_device("copy", to);
  check_device("copy", from);
  const cpu::Dims from_strides = cpu::broadcast_strides(from, to.sizes());
  if (to.numel == 0) return;
  const Walk<2> walk = make_walk<2>(to.sizes(), {to.strides(), from_strides});
  if (to.dtype != from.dtype) {
    static constexpr Kernel kConvert(kCopyImage, "penstock_convert");
    kConvert.launch(call, grid_for(call, walk.count), to.data, element_of("a converting copy", to.dtype),
                    static_cast<const std::byte*>(from.data), element_of("a converting copy", from.dtype),
                    walk);
    return;
  }
  const std::size_t bytes = element_bytes(to.dtype);
  if (!is_one_block(walk)) return move_by_kernel(call, {to.data, from.data, bytes, walk});
  if (to.data == from.data) return;
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Copy, "cuMemcpyDtoDAsync", call.stream);
  }
  cuda::check(cuda::driver().memcpy_dtod_async(reinterpret_cast<cuda::DevicePointer>(to.data),
                                               reinterpret_cast<cuda::DevicePointer>(from.data),
                                               static_cast<std::size_t>(to.numel) * bytes, call.stream),
              "cuMemcpyDtoDAsync", "a copy of a tensor");
}

void zero(const shim::CudaCall& call, const tensor::TensorObject& to) {
  if (to.numel == 0) return;
  check_device("zeros", to);
  const std::size_t bytes = element_bytes(to.dtype);
  const Walk<1> walk = make_walk(to);
  if (is_one_block(walk)) return clear(call, to.data, static_cast<std::size_t>(to.numel) * bytes);
  // All bits of 0 are 0, in every dtype.
  static constexpr std::array kBySize{kernels::Element::UInt8, kernels::Element::UInt16,
                                      kernels::Element::UInt32, kernels::Element::UInt64,
                                      kernels::Element::Complex128};
  static constexpr Kernel kFill(kCopyImage, "penstock_fill");
  std::size_t place = 0;
  while ((std::size_t{1} << place) < bytes) ++place;
  kFill.launch(call, grid_for(call, walk.count), to.data, kBySize[place], fill_value(std::int64_t{0}), walk);
}

void fill(const shim::CudaCall& call, const tensor::TensorObject& to, const kernels::FillValue& value) {
  check_device("fill", to);
  if (to.numel == 0) return;
  static constexpr Kernel kFill(kCopyImage, "penstock_fill");
  const Walk<1> walk = make_walk(to);
  kFill.launch(call, grid_for(call, walk.count), to.data, element_of("fill", to.dtype), value, walk);
}

}  // namespace penstock::cuda_ops
