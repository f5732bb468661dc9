// Copies of strided tensors.

#include <cstdint>

namespace {

constexpr int kDims = 16;

/// Sizes, and strides in elements, of both sides; dimensions from the outermost on.
struct Shape {
  int rank;
  std::int64_t size[kDims];
  std::int64_t to[kDims];
  std::int64_t from[kDims];
};

template <class T>
__device__ void copy(T* to, const T* from, const Shape& shape, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    std::int64_t rest = i;
    std::int64_t to_offset = 0;
    std::int64_t from_offset = 0;
    for (int d = shape.rank - 1; d >= 0; --d) {
      const std::int64_t index = rest % shape.size[d];
      rest /= shape.size[d];
      to_offset += index * shape.to[d];
      from_offset += index * shape.from[d];
    }
    to[to_offset] = from[from_offset];
  }
}

}  // namespace

extern "C" __global__ void penstock_copy_1(std::uint8_t* to, const std::uint8_t* from, Shape shape, std::int64_t count) {
  copy(to, from, shape, count);
}

extern "C" __global__ void penstock_copy_2(std::uint16_t* to, const std::uint16_t* from, Shape shape, std::int64_t count) {
  copy(to, from, shape, count);
}

extern "C" __global__ void penstock_copy_4(std::uint32_t* to, const std::uint32_t* from, Shape shape, std::int64_t count) {
  copy(to, from, shape, count);
}

extern "C" __global__ void penstock_copy_8(std::uint64_t* to, const std::uint64_t* from, Shape shape, std::int64_t count) {
  copy(to, from, shape, count);
}

extern "C" __global__ void penstock_copy_16(ulonglong2* to, const ulonglong2* from, Shape shape, std::int64_t count) {
  copy(to, from, shape, count);
}
