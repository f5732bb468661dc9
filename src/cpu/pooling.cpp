#include "cpu/pooling.hpp"

#include "base/fail.hpp"
#include "cpu/element.hpp"
#include "cpu/parallel.hpp"
#include "cpu/pooling_shape.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// Where a window lies in one dimension.
struct Extent {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t step;
  std::int64_t counted;  ///< Elements that an average with padding counts.
};

/// A tensor as [batch, channels, depth, height, width].
struct Planes {
  std::byte* data;
  std::array<std::int64_t, 5> size{1, 1, 1, 1, 1};
  std::array<std::int64_t, 5> stride{};

  Planes(const TensorObject& tensor, std::size_t spatial) : data(tensor.data) {
    const auto rank = static_cast<std::size_t>(tensor.rank);
    const std::size_t leading = rank - spatial;  // The channels, and the batch where there is one.
    for (std::size_t i = 0; i < rank; ++i) {
      const std::size_t to = i < leading ? 2 - leading + i : 5 - rank + i;
      size[to] = tensor.size[i];
      stride[to] = tensor.stride[i];
    }
  }
};

/// The extents of every window, one list a dimension, so that the loops over elements only read them.
using Extents = std::array<std::vector<Extent>, 3>;

Extents window_extents(const Planes& input, const PoolGeometry& geometry) {
  Extents extents;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t size = input.size[i + 2];
    for (std::int64_t at = 0; at < geometry.out[i]; ++at) {
      const std::int64_t first = at * geometry.stride[i] - geometry.padding[i];
      const std::int64_t dilation = geometry.dilation[i];
      const std::int64_t last = first + (geometry.kernel[i] - 1) * dilation + 1;
      const std::int64_t skipped = first < 0 ? (-first + dilation - 1) / dilation : 0;
      const std::int64_t padded_end = std::min(first + geometry.kernel[i], size + geometry.padding[i]);
      extents[i].push_back({first + skipped * dilation, std::min(last, size), dilation, padded_end - first});
    }
  }
  return extents;
}

Extents adaptive_extents(const Planes& input, const Planes& out) {
  Extents extents;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t from = input.size[i + 2];
    const std::int64_t to = out.size[i + 2];
    for (std::int64_t at = 0; at < to; ++at) {
      const std::int64_t begin = at * from / to;
      const std::int64_t end = ((at + 1) * from + to - 1) / to;
      extents[i].push_back({begin, end, 1, end - begin});
    }
  }
  return extents;
}

/// One channel of one image.
template <class T>
struct Channel {
  const T* data;
  std::array<std::int64_t, 3> stride;
};

/// What a window is in all three dimensions.
struct Window {
  const Extent& depth;
  const Extent& height;
  const Extent& width;
  [[nodiscard]] bool is_empty() const {
    return depth.begin >= depth.end || height.begin >= height.end || width.begin >= width.end;
  }
};

/// Calls `take(element, flat index)` for every element under the window.
template <class T, class Take>
void for_each_element(const Channel<T>& channel, const Window& window, const Planes& input, Take&& take) {
  for (std::int64_t d = window.depth.begin; d < window.depth.end; d += window.depth.step) {
    for (std::int64_t h = window.height.begin; h < window.height.end; h += window.height.step) {
      const T* const line = channel.data + d * channel.stride[0] + h * channel.stride[1];
      const std::int64_t index = (d * input.size[3] + h) * input.size[4];
      for (std::int64_t w = window.width.begin; w < window.width.end; w += window.width.step) {
        take(line[w * channel.stride[2]], index + w);
      }
    }
  }
}

/// Calls `pool(channel, window, place in the output)` for every window of every channel, in parallel.
template <class T, class Pool>
void for_each_window(OpContext& context, const Planes& input, const Planes& out, const Extents& extents,
                     Pool&& pool) {
  const std::int64_t channels = input.size[1];
  // Fewer elements are pooled before another thread has begun.
  constexpr std::int64_t kParallelFrom = 1 << 15;
  const std::int64_t elements = channels * input.size[0] * input.size[2] * input.size[3] * input.size[4];
  const int workers = elements < kParallelFrom ? 1 : context.threads;
  for_each_range(input.size[0] * channels, workers, [&](const TaskRange& range) noexcept {
    for (std::int64_t task = range.begin; task < range.end; ++task) {
      const std::int64_t n = task / channels;
      const std::int64_t c = task % channels;
      const Channel<T> channel{
          reinterpret_cast<const T*>(input.data) + n * input.stride[0] + c * input.stride[1],
          {input.stride[2], input.stride[3], input.stride[4]}};
      for (std::int64_t d = 0; d < out.size[2]; ++d) {
        for (std::int64_t h = 0; h < out.size[3]; ++h) {
          std::int64_t place = n * out.stride[0] + c * out.stride[1] + d * out.stride[2] + h * out.stride[3];
          for (std::int64_t w = 0; w < out.size[4]; ++w, place += out.stride[4]) {
            pool(channel,
                 Window{extents[0][static_cast<std::size_t>(d)], extents[1][static_cast<std::size_t>(h)],
                        extents[2][static_cast<std::size_t>(w)]},
                 place);
          }
        }
      }
    }
  });
}

template <class T>
void take_largest(OpContext& context, const Planes& input, const Planes& out, TensorObject& indices,
                  const Extents& extents) {
  auto* const values = reinterpret_cast<T*>(out.data);
  auto* const places = reinterpret_cast<std::int64_t*>(indices.data);
  for_each_window<T>(
      context, input, out, extents, [&](const Channel<T>& channel, const Window& window, std::int64_t to) {
        const std::int64_t d = window.depth.begin;
        const std::int64_t h = window.height.begin;
        const std::int64_t w = window.width.begin;
        std::int64_t best_index = (d * input.size[3] + h) * input.size[4] + w;
        // Steps between elements may pass over an input that is smaller than they are.
        T best = window.is_empty()
                     ? lowest<T>()
                     : channel.data[d * channel.stride[0] + h * channel.stride[1] + w * channel.stride[2]];
        auto largest = plain(best);
        for_each_element(channel, window, input, [&](const T& element, std::int64_t index) {
          const auto value = plain(element);
          if (value > largest || value != value) {
            largest = value;
            best = element;
            best_index = index;
          }
        });
        values[to] = best;
        places[to] = best_index;
      });
}

/// `divisor` 0: the number of elements, of those in the padding too where `counts_padding`.
struct Division {
  std::int64_t divisor = 0;
  bool counts_padding = true;
};

template <class T>
void take_averages(OpContext& context, const Planes& input, const Planes& out, const Extents& extents,
                   const Division& division) {
  using Wide = Plain<T>;
  auto* const values = reinterpret_cast<T*>(out.data);
  for_each_window<T>(
      context, input, out, extents, [&](const Channel<T>& channel, const Window& window, std::int64_t to) {
        Wide sum = 0;
        if (!window.is_empty()) {
          for_each_element(channel, window, input,
                           [&](const T& element, std::int64_t) { sum += plain(element); });
          const auto counted = [&](const Extent& extent) {
            return division.counts_padding ? extent.counted : extent.end - extent.begin;
          };
          const std::int64_t count =
              division.divisor != 0 ? division.divisor
                                    : counted(window.depth) * counted(window.height) * counted(window.width);
          sum /= static_cast<Wide>(count);
        }
        values[to] = convert<T>(sum);
      });
}

void check_results(const TensorObject& out, const TensorObject* indices, const TensorObject& input,
                   const PoolLayout& layout) {
  check_host("pooling", input);
  const auto has_layout = [&layout](const TensorObject& tensor) {
    return std::ranges::equal(tensor.sizes(), layout.sizes) &&
           std::ranges::equal(tensor.strides(), layout.strides);
  };
  if (out.dtype != input.dtype || !has_layout(out) ||
      (indices != nullptr && (indices->dtype != DType::Int64 || !has_layout(*indices)))) {
    base::fail(ErrorCode::Internal, "pooling: a result that is not made as it should be");
  }
}

}  // namespace

void max_pool(OpContext& context, TensorObject& out, TensorObject& indices, const TensorObject& input,
              const PoolWindow& window) {
  check_results(out, &indices, input, max_pool_layout(input, window));
  if (out.numel == 0) return;
  const Planes planes(input, window.spatial);
  const Extents extents = window_extents(planes, pool_geometry(input, window));
  with_type("max_pool", input.dtype, kNumbers, [&]<class T>(std::type_identity<T>) {
    take_largest<T>(context, planes, Planes(out, window.spatial), indices, extents);
  });
}

void average_pool(OpContext& context, TensorObject& out, const TensorObject& input, const PoolWindow& window,
                  const AverageOptions& options) {
  check_results(out, nullptr, input, average_pool_layout(input, window, options));
  if (out.numel == 0) return;
  const Planes planes(input, window.spatial);
  const Extents extents = window_extents(planes, pool_geometry(input, window));
  const Division division{options.divisor.value_or(0), options.count_include_pad};
  with_type("avg_pool", input.dtype, kFloats + Types<std::int64_t>{}, [&]<class T>(std::type_identity<T>) {
    take_averages<T>(context, planes, Planes(out, window.spatial), extents, division);
  });
}

void adaptive_average_pool(OpContext& context, TensorObject& out, const TensorObject& input,
                           std::size_t spatial) {
  check_results(out, nullptr, input, adaptive_pool_layout(input, out.sizes().last(spatial), spatial));
  if (out.numel == 0) return;
  const Planes planes(input, spatial);
  const Planes results(out, spatial);
  const Extents extents = adaptive_extents(planes, results);
  with_type("adaptive_avg_pool", input.dtype, kFloats,
            [&]<class T>(std::type_identity<T>) { take_averages<T>(context, planes, results, extents, {}); });
}

void adaptive_max_pool(OpContext& context, TensorObject& out, TensorObject& indices,
                       const TensorObject& input, std::size_t spatial) {
  check_results(out, &indices, input, adaptive_pool_layout(input, out.sizes().last(spatial), spatial));
  if (out.numel == 0) return;
  const Planes planes(input, spatial);
  const Planes results(out, spatial);
  const Extents extents = adaptive_extents(planes, results);
  with_type("adaptive_max_pool", input.dtype, kFloats, [&]<class T>(std::type_identity<T>) {
    take_largest<T>(context, planes, results, indices, extents);
  });
}

}  // namespace penstock::cpu
