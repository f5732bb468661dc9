#include "cuda_ops/scatter.hpp"

#include "base/fail.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>

namespace penstock::cuda_ops {
namespace {

using kernels::Reduce;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

constexpr Kernel kScatter(kIndexImage, "penstock_scatter");

/// What is scattered, over sizes that are those of the index or, for whole slices, of the source.
struct Targets {
  const TensorObject& index;
  cpu::Dims sizes;
  cpu::Dims index_strides;
  cpu::Dims source_strides;
  std::size_t dim;
};

/// The strides of `tensor` over sizes of `rank` dimensions, a scalar standing still.
cpu::Dims strides_over(const TensorObject& tensor, std::size_t rank) {
  cpu::Dims strides(tensor.strides().begin(), tensor.strides().end());
  strides.resize(rank, 0);
  return strides;
}

Targets targets_of(const TensorObject& self, const cpu::ScatterPlaces& places, const TensorObject* source) {
  for (const TensorObject* operand : {&self, &places.index, source}) {
    if (operand != nullptr) check_device("scatter", *operand);
  }
  const std::size_t dim = cpu::check_scatter(self, places, source);
  const auto rank = static_cast<std::size_t>(places.index.rank);
  return {.index = places.index,
          .sizes = cpu::Dims(places.index.sizes().begin(), places.index.sizes().end()),
          .index_strides = strides_over(places.index, rank),
          .source_strides = source != nullptr ? strides_over(*source, rank) : cpu::Dims(rank),
          .dim = dim};
}

/// A launch that does `reduce` to self at the targets.
kernels::Scatter arguments_of(const TensorObject& self, const Targets& targets, Reduce reduce) {
  cpu::Dims self_strides = strides_over(self, targets.sizes.size());
  if (targets.dim < self_strides.size()) self_strides[targets.dim] = 0;
  const cpu::Lane lane = cpu::lane_of(self, targets.dim);
  const kernels::Element dtype = element_of("scatter", self.dtype);
  return {.self = self.data,
          .index = targets.index.data,
          .source = nullptr,
          .counts = nullptr,
          .self_dtype = dtype,
          .source_dtype = dtype,
          .index_is_wide = targets.index.dtype == DType::Int64 ? 1 : 0,
          .reduce = reduce,
          .identity_of = reduce,
          .value = {},
          .size = lane.size,
          .stride = lane.stride,
          .walk = make_walk<3>(targets.sizes, {self_strides, targets.index_strides, targets.source_strides})};
}

void launch(const shim::CudaCall& call, const kernels::Scatter& scatter) {
  kScatter.launch(call, grid_for(call, scatter.walk.count), scatter);
}

Reduce reduce_of(cpu::ReduceKind kind) {
  switch (kind) {
    case cpu::ReduceKind::Product: return Reduce::Product;
    case cpu::ReduceKind::Maximum: return Reduce::Maximum;
    case cpu::ReduceKind::Minimum: return Reduce::Minimum;
    default: return Reduce::Sum;
  }
}

void reduce_into(const shim::CudaCall& call, const TensorObject& self, const Targets& targets,
                 const TensorObject& source, cpu::ReduceOptions options) {
  const Reduce reduce = reduce_of(options.kind);
  if (!options.includes_self) {
    kernels::Scatter identity = arguments_of(self, targets, Reduce::Identity);
    identity.identity_of = reduce;
    launch(call, identity);
  }
  kernels::Scatter scatter = arguments_of(self, targets, reduce);
  scatter.source = source.data;
  scatter.source_dtype = element_of("scatter", source.dtype);
  launch(call, scatter);
}

/// Divides the sums at `targets` by how many elements are in them: one count an element of self, at its
/// place.
void divide_by_count(const shim::CudaCall& call, const TensorObject& self, const Targets& targets,
                     bool includes_self) {
  static constexpr Kernel kDivide(kIndexImage, "penstock_divide_by_count");
  const std::int64_t extent = tensor::checked_extent(self.sizes(), self.strides()).value_or(0);
  const Temporary counts(call, extent, sizeof(std::int32_t));
  clear(call, counts.data(), static_cast<std::size_t>(extent) * sizeof(std::int32_t));
  kernels::Scatter scatter = arguments_of(self, targets, Reduce::Count);
  scatter.counts = counts.as<std::int32_t>();
  launch(call, scatter);
  const kernels::DivideByCount divide{.self = self.data,
                                      .counts = counts.as<std::int32_t>(),
                                      .dtype = element_of("scatter", self.dtype),
                                      .counts_self = includes_self ? 1 : 0,
                                      .walk = make_walk(self)};
  kDivide.launch(call, grid_for(call, self.numel), divide);
}

void reduce(const shim::CudaCall& call, const TensorObject& self, const Targets& targets,
            const TensorObject& source, cpu::ReduceOptions options) {
  if (self.dtype == DType::Float16 || self.dtype == DType::BFloat16) {
    // Sums of many small elements would not grow in 16 bits.
    const TensorObjectPtr sums = shim::make_cuda_result(DType::Float32, self.sizes());
    copy(call, *sums, self);
    reduce_into(call, *sums, targets, source, options);
    copy(call, self, *sums);
  } else {
    reduce_into(call, self, targets, source, options);
  }
  if (options.kind == cpu::ReduceKind::Mean) divide_by_count(call, self, targets, options.includes_self);
}

}  // namespace

void scatter(const shim::CudaCall& call, const TensorObject& self, cpu::ScatterPlaces places,
             const TensorObject& source) {
  const Targets targets = targets_of(self, places, &source);
  if (places.index.numel == 0) return;
  kernels::Scatter scatter = arguments_of(self, targets, Reduce::Assign);
  scatter.source = source.data;
  launch(call, scatter);
}

void scatter_value(const shim::CudaCall& call, const TensorObject& self, cpu::ScatterPlaces places,
                   double value) {
  const Targets targets = targets_of(self, places, nullptr);
  if (places.index.numel == 0) return;
  kernels::Scatter scatter = arguments_of(self, targets, Reduce::Assign);
  scatter.value = fill_value(value);
  launch(call, scatter);
}

void scatter_reduce(const shim::CudaCall& call, const TensorObject& self, cpu::ScatterPlaces places,
                    const TensorObject& source, cpu::ReduceOptions options) {
  const Targets targets = targets_of(self, places, &source);
  if (places.index.numel == 0 || self.numel == 0) return;
  const bool is_bool = self.dtype == DType::Bool;
  if (!is_bool) check_dtype("scatter_reduce", self.dtype, number_dtypes());
  if (is_bool && options.kind == cpu::ReduceKind::Mean) {
    base::fail(ErrorCode::Unsupported, "the mean of bool elements");
  }
  reduce(call, self, targets, source, options);
}

void index_reduce(const shim::CudaCall& call, const TensorObject& self, cpu::ScatterPlaces places,
                  const TensorObject& source, cpu::ReduceOptions options) {
  for (const TensorObject* operand : {&self, &places.index, &source}) check_device("index_reduce", *operand);
  const std::size_t dim = cpu::check_index_reduce(self, places, source);
  if (source.numel == 0) return;
  check_dtype("index_reduce", self.dtype, number_dtypes());
  const auto rank = static_cast<std::size_t>(source.rank);
  Targets targets{.index = places.index,
                  .sizes = cpu::Dims(source.sizes().begin(), source.sizes().end()),
                  .index_strides = cpu::Dims(rank),
                  .source_strides = strides_over(source, rank),
                  .dim = dim};
  if (rank > 0) targets.index_strides[dim] = cpu::lane_of(places.index, 0).stride;
  reduce(call, self, targets, source, options);
}

}  // namespace penstock::cuda_ops
