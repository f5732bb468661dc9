#include "cpu/scatter.hpp"

#include "cpu/combine.hpp"
#include "cpu/copy.hpp"
#include "cpu/strided.hpp"
#include "cpu/temporary.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <cmath>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

/// Index values with their layout over the sizes that are scattered.
struct Targets {
  const TensorObject& index;
  DimsView sizes;
  DimsView strides;
  std::size_t dim;
};

/// Calls work(element of self, element of source) for each that is scattered, in row-major order but
/// for `dim`, which is innermost. Errors: InvalidArgument for a place that is out of bounds.
template <class Work>
void for_each_target(const TensorObject& self, const Targets& targets, DimsView source_strides, Work&& work) {
  const Lane lane = lane_of(self, targets.dim);
  const bool is_scalar = targets.sizes.empty();
  const std::int64_t count = is_scalar ? 1 : targets.sizes[targets.dim];
  const std::int64_t index_step = is_scalar ? 0 : targets.strides[targets.dim];
  const std::int64_t source_step = is_scalar ? 0 : source_strides[targets.dim];
  Dims starts(targets.sizes.begin(), targets.sizes.end());
  if (count == 0) return;
  if (!is_scalar) starts[targets.dim] = 1;
  // A scalar among operands of one dimension has no strides to walk by.
  const Dims still(starts.size(), 0);
  const DimsView self_strides = self.rank == 0 ? DimsView(still) : self.strides();
  const bool is_wide = targets.index.dtype == DType::Int64;
  for_each_element<3>(starts, {self_strides, targets.strides, source_strides}, [&](const auto& place) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = place[1] + i * index_step;
      const std::int64_t index = is_wide ? load<std::int64_t>(targets.index.data + at * 8)
                                         : load<std::int32_t>(targets.index.data + at * 4);
      if (index < 0 || index >= lane.size) {
        base::fail(ErrorCode::InvalidArgument, "index {} is out of bounds for dimension {} with size {}",
                   index, targets.dim, lane.size);
      }
      work(place[0] + index * lane.stride, place[2] + i * source_step);
    }
  });
}

/// Places of scatter, checked. An index without elements scatters nothing, whatever its sizes.
Targets targets_of(const TensorObject& self, const ScatterPlaces& places, const TensorObject* source) {
  for (const TensorObject* operand : {&self, &places.index, source}) {
    if (operand != nullptr) check_host("scatter", *operand);
  }
  const std::size_t dim = check_scatter(self, places, source);
  return {places.index, places.index.sizes(), places.index.strides(), dim};
}

/// Errors: as for_each_target. Nothing is written before all places are known to be inside of self.
void check_places(const TensorObject& self, const Targets& targets) {
  const Dims still(targets.sizes.size(), 0);
  for_each_target(self, targets, still, [](std::int64_t, std::int64_t) {});
}

/// The strides of `tensor` over sizes of `rank` dimensions, a scalar standing still.
Dims strides_over(const TensorObject& tensor, std::size_t rank) {
  Dims strides(tensor.strides().begin(), tensor.strides().end());
  strides.resize(rank, 0);
  return strides;
}

template <class T>
T identity_of(ReduceKind kind) {
  using Value = Plain<T>;
  constexpr bool kHasInfinity = std::numeric_limits<Value>::has_infinity;
  constexpr Value kHighest =
      kHasInfinity ? std::numeric_limits<Value>::infinity() : std::numeric_limits<Value>::max();
  constexpr Value kLowest =
      kHasInfinity ? -std::numeric_limits<Value>::infinity() : std::numeric_limits<Value>::lowest();
  switch (kind) {
    case ReduceKind::Product: return convert<T>(Value{1});
    case ReduceKind::Maximum: return convert<T>(kLowest);
    case ReduceKind::Minimum: return convert<T>(kHighest);
    default: return convert<T>(Value{0});
  }
}

template <class T>
T combine(ReduceKind kind, T a, T b) {
  switch (kind) {
    case ReduceKind::Product: return product_of(a, b);
    case ReduceKind::Maximum: return larger_of(a, b);
    case ReduceKind::Minimum: return smaller_of(a, b);
    default: return sum_of(a, b);
  }
}

template <class T>
T divide(T value, std::int64_t count) {
  if constexpr (kIsFloating<T>) {
    return static_cast<T>(plain(value) / static_cast<Plain<T>>(count));
  } else if constexpr (std::is_integral_v<T>) {
    const auto wide = static_cast<std::int64_t>(value);
    return static_cast<T>(wide / count - (wide % count < 0 ? 1 : 0));
  } else {
    return value;
  }
}

/// Reduces into a self of T, whose elements of `source` are Ss.
template <class T, class S>
void reduce_into(const TensorObject& self, const Targets& targets, const TensorObject& source,
                 ReduceOptions options) {
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
  const Dims source_strides = strides_over(source, targets.sizes.size());
  if (!options.includes_self) {
    for_each_target(self, targets, source_strides, [&](std::int64_t to, std::int64_t) {
      store(self.data + to * kBytes, identity_of<T>(options.kind));
    });
  }
  for_each_target(self, targets, source_strides, [&](std::int64_t to, std::int64_t from) {
    std::byte* const target = self.data + to * kBytes;
    const S value = load<S>(source.data + from * static_cast<std::int64_t>(sizeof(S)));
    store(target, combine(options.kind, load<T>(target), convert<T>(value)));
  });
}

/// Divides the sums at `targets` by how many elements are in them.
template <class T>
void divide_by_count(tensor::Allocator* pool, const TensorObject& self, const Targets& targets,
                     bool includes_self) {
  const Dims still(targets.sizes.size(), 0);
  // One count an element, found by the element's address.
  const auto extent = tensor::checked_extent(self.sizes(), self.strides()).value_or(0);
  const Temporary<std::int64_t> counts(pool, extent);
  std::ranges::fill(counts, includes_self ? 1 : 0);
  for_each_target(self, targets, still,
                  [&](std::int64_t to, std::int64_t) { ++counts[static_cast<std::size_t>(to)]; });
  for_each_element<1>(self.sizes(), {self.strides()}, [&](const auto& place) {
    std::byte* const at = self.data + place[0] * static_cast<std::int64_t>(sizeof(T));
    const std::int64_t count = counts[static_cast<std::size_t>(place[0])];
    if (count > 1) store(at, divide(load<T>(at), count));
  });
}

template <class T>
void reduce(tensor::Allocator* pool, const TensorObject& self, const Targets& targets,
            const TensorObject& source, ReduceOptions options) {
  check_places(self, targets);
  if (std::is_same_v<T, Boolean> && options.kind == ReduceKind::Mean) {
    base::fail(ErrorCode::Unsupported, "the mean of bool elements");
  }
  if constexpr (kIsNarrowFloat<T>) {
    // Sums of many small elements would not grow in 16 bits.
    const Temporary<float> wide(pool, self.numel);
    const ResultLayout layout = contiguous_layout(Dims(self.sizes().begin(), self.sizes().end()));
    const TensorObjectPtr sums(
        tensor::make_tensor(wide.storage(), {DType::Float32, layout.sizes, layout.strides, 0}));
    copy(*sums, self);
    reduce_into<float, T>(*sums, targets, source, options);
    copy(self, *sums);
  } else {
    reduce_into<T, T>(self, targets, source, options);
  }
  if (options.kind == ReduceKind::Mean) divide_by_count<T>(pool, self, targets, options.includes_self);
}

}  // namespace

void scatter(const TensorObject& self, ScatterPlaces places, const TensorObject& source) {
  const Targets targets = targets_of(self, places, &source);
  if (places.index.numel == 0) return;
  check_places(self, targets);
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  for_each_target(self, targets, strides_over(source, targets.sizes.size()),
                  [&](std::int64_t to, std::int64_t from) {
                    std::memmove(self.data + to * element, source.data + from * element, bytes);
                  });
}

void scatter_value(const TensorObject& self, ScatterPlaces places, double value) {
  const Targets targets = targets_of(self, places, nullptr);
  if (places.index.numel == 0) return;
  check_places(self, targets);
  const Dims still(targets.sizes.size(), 0);
  with_type("scatter", self.dtype, kAllTypes, [&]<class T>(std::type_identity<T>) {
    const T element = convert<T>(value);
    for_each_target(self, targets, still, [&](std::int64_t to, std::int64_t) {
      store(self.data + to * static_cast<std::int64_t>(sizeof(T)), element);
    });
  });
}

void scatter_reduce(tensor::Allocator* pool, const TensorObject& self, ScatterPlaces places,
                    const TensorObject& source, ReduceOptions options) {
  const Targets targets = targets_of(self, places, &source);
  if (places.index.numel == 0) return;
  with_type("scatter_reduce", self.dtype, kNumbers + kBoolean,
            [&]<class T>(std::type_identity<T>) { reduce<T>(pool, self, targets, source, options); });
}

void index_reduce(tensor::Allocator* pool, const TensorObject& self, ScatterPlaces places,
                  const TensorObject& source, ReduceOptions options) {
  for (const TensorObject* operand : {&self, &places.index, &source}) check_host("index_reduce", *operand);
  const std::size_t dim = check_index_reduce(self, places, source);
  const Lane lane = lane_of(places.index, 0);
  if (source.numel == 0) return;
  Dims strides(static_cast<std::size_t>(source.rank), 0);
  if (!strides.empty()) strides[dim] = lane.stride;
  const Targets targets{places.index, source.sizes(), strides, dim};
  with_type("index_reduce", self.dtype, kNumbers,
            [&]<class T>(std::type_identity<T>) { reduce<T>(pool, self, targets, source, options); });
}

}  // namespace penstock::cpu
