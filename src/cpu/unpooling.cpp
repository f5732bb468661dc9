#include "base/fail.hpp"
#include "cpu/element.hpp"
#include "cpu/pooling.hpp"
#include "cpu/strided.hpp"

#include <algorithm>
#include <cstring>

namespace penstock::cpu {

using tensor::TensorObject;

void max_unpool(TensorObject& out, const TensorObject& input, const TensorObject& indices,
                const Unpool& unpool) {
  check_host("max_unpool", input);
  check_host("max_unpool", indices);
  const PoolLayout layout = max_unpool_layout(input, indices, unpool);
  if (out.dtype != input.dtype || !std::ranges::equal(out.sizes(), layout.sizes) ||
      !std::ranges::equal(out.strides(), layout.strides)) {
    base::fail(ErrorCode::Internal, "max_unpool: a result that is not made as it should be");
  }
  if (out.numel == 0) return;
  const std::size_t bytes = element_bytes(out.dtype);
  std::memset(out.data, 0, static_cast<std::size_t>(out.numel) * bytes);
  std::int64_t places = 1;
  for (const std::int64_t size : unpool.output_size) places *= size;
  // Row-major or channels-last, the places of a channel are one stride apart.
  const std::int64_t step = out.strides().back();
  Dims channel(out.strides().begin(), out.strides().end());
  std::fill(channel.end() - static_cast<std::ptrdiff_t>(unpool.spatial), channel.end(), 0);
  with_type("max_unpool", input.dtype, kFloats, [&]<class T>(std::type_identity<T>) {
    for_each_element<3>(
        input.sizes(), {DimsView(channel), input.strides(), indices.strides()}, [&](const auto& place) {
          const auto index =
              load<std::int64_t>(indices.data + place[2] * static_cast<std::int64_t>(sizeof(std::int64_t)));
          if (index < 0 || index >= places) {
            base::fail(ErrorCode::InvalidArgument,
                       "Found an invalid max index: {} (output volumes are of size {})", index,
                       fmt::join(unpool.output_size, "x"));
          }
          constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
          store(out.data + (place[0] + index * step) * kBytes, load<T>(input.data + place[1] * kBytes));
        });
  });
}

}  // namespace penstock::cpu
