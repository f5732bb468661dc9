#include "cuda_ops/search.hpp"

#include "cpu/promotion.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"

#include <array>

namespace penstock::cuda_ops {

using tensor::TensorObject;

namespace {

/// A row-major copy of another dtype.
tensor::TensorObjectPtr converted(const shim::CudaCall& call, const TensorObject& tensor, DType dtype) {
  tensor::TensorObjectPtr made = shim::make_cuda_result(dtype, tensor.sizes());
  copy(call, *made, tensor);
  return made;
}

}  // namespace

void searchsorted(const shim::CudaCall& call, const TensorObject& out, const TensorObject& sequence,
                  const TensorObject& values, const cpu::SearchOptions& options) {
  static constexpr Kernel kReal(kSearchImage, "penstock_search_real");
  static constexpr Kernel kInteger(kSearchImage, "penstock_search_integer");
  for (const TensorObject* operand : {&out, &sequence, &values, options.sorter}) {
    if (operand != nullptr) check_device("searchsorted", *operand);
  }
  cpu::check_search(sequence, values, options.sorter);
  check_dtype("searchsorted", sequence.dtype, number_dtypes());
  check_dtype("searchsorted", values.dtype, number_dtypes());
  if (values.numel == 0) return;
  if (values.dtype != sequence.dtype) {
    const DType promoted = cpu::promote(sequence.dtype, values.dtype);
    const tensor::TensorObjectPtr alike = converted(call, sequence, promoted);
    searchsorted(call, out, *alike, *converted(call, values, promoted), options);
    return;
  }
  const auto last = static_cast<std::size_t>(sequence.rank - 1);
  // Where a value's row has no sequence of its own, and along the searched dimension, nothing moves.
  const bool is_shared = sequence.rank == 1;
  cpu::Dims begins(static_cast<std::size_t>(values.rank));
  cpu::Dims sorters = begins;
  for (std::size_t dim = 0; !is_shared && dim < last; ++dim) {
    begins[dim] = sequence.stride[dim];
    if (options.sorter != nullptr) sorters[dim] = options.sorter->stride[dim];
  }
  const bool is_sorted = options.sorter == nullptr;
  const kernels::Search search{
      .sequence = sequence.data,
      .values = values.data,
      .sorter = is_sorted ? nullptr : reinterpret_cast<const std::int64_t*>(options.sorter->data),
      .out = out.data,
      .sequence_dtype = element_of("searchsorted", sequence.dtype),
      .value_dtype = element_of("searchsorted", values.dtype),
      .is_right = options.right ? 1 : 0,
      .out_is_wide = out.dtype == DType::Int64 ? 1 : 0,
      .length = sequence.size[last],
      .step = sequence.stride[last],
      .sorter_step = is_sorted ? 0 : options.sorter->stride[last],
      .walk = make_walk<4>(values.sizes(), {values.strides(), out.strides(), begins, sorters})};
  (is_integer(values.dtype) ? kInteger : kReal).launch(call, grid_for(call, values.numel), search);
}

namespace {

/// Results as torch gives them on CUDA. Of the bags' sizes, one more than there are bags where the last
/// offset is an end.
cpu::EmbeddingBagResults make_results(const cpu::EmbeddingBag& bag, std::int64_t bags) {
  const bool is_wide = bag.indices.dtype == DType::Int64 || bag.offsets.dtype == DType::Int64;
  const DType integer = is_wide ? DType::Int64 : DType::Int32;
  const std::array<std::int64_t, 2> out{bags, bag.weight.size[1]};
  const std::array<std::int64_t, 1> none{0};
  const auto one = [&](std::int64_t size) { return shim::make_cuda_result(integer, std::array{size}); };
  return {.out = shim::make_cuda_result(bag.weight.dtype, out),
          .offset2bag = one(bag.indices.numel),
          .bag_size = one(bag.offsets.numel),
          .max_indices = bag.mode == cpu::BagMode::Max ? shim::make_cuda_result(integer, out)
                                                       : shim::make_cuda_result(integer, none)};
}

const Kernel& bag_kernel(DType dtype) {
  static constexpr Kernel kFloat32(kSearchImage, "penstock_embedding_bag_float32");
  static constexpr Kernel kFloat64(kSearchImage, "penstock_embedding_bag_float64");
  static constexpr Kernel kFloat16(kSearchImage, "penstock_embedding_bag_float16");
  static constexpr Kernel kBFloat16(kSearchImage, "penstock_embedding_bag_bfloat16");
  check_dtype("embedding_bag", dtype, float_dtypes());
  switch (dtype) {
    case DType::Float32: return kFloat32;
    case DType::Float64: return kFloat64;
    case DType::Float16: return kFloat16;
    default: return kBFloat16;
  }
}

kernels::EmbeddingBag arguments_of(const cpu::EmbeddingBag& bag, const cpu::EmbeddingBagResults& results,
                                   std::int64_t bags) {
  return {.weight = bag.weight.data,
          .indices = bag.indices.data,
          .offsets = bag.offsets.data,
          .factors = bag.factors != nullptr ? bag.factors->data : nullptr,
          .out = results.out->data,
          .offset2bag = results.offset2bag->data,
          .bag_size = results.bag_size->data,
          .max_indices = results.max_indices->data,
          .indices_are_wide = bag.indices.dtype == DType::Int64 ? 1 : 0,
          .offsets_are_wide = bag.offsets.dtype == DType::Int64 ? 1 : 0,
          .results_are_wide = results.bag_size->dtype == DType::Int64 ? 1 : 0,
          .mode = static_cast<int>(bag.mode),
          .rows = bag.weight.size[0],
          .features = bag.weight.size[1],
          .row_stride = bag.weight.stride[0],
          .feature_stride = bag.weight.stride[1],
          .index_stride = bag.indices.stride[0],
          .offset_stride = bag.offsets.stride[0],
          .factor_stride = bag.factors != nullptr ? bag.factors->stride[0] : 0,
          .index_count = bag.indices.numel,
          .offset_count = bag.offsets.numel,
          .bags = bags,
          .padding_idx = bag.padding_idx};
}

}  // namespace

cpu::EmbeddingBagResults embedding_bag(const shim::CudaCall& call, const cpu::EmbeddingBag& bag) {
  cpu::check_embedding_bag(bag);
  for (const TensorObject* operand : {&bag.weight, &bag.indices, &bag.offsets, bag.factors}) {
    if (operand != nullptr) check_device("embedding_bag", *operand);
  }
  const Kernel& kernel = bag_kernel(bag.weight.dtype);
  const std::int64_t bags = bag.offsets.numel - (bag.include_last_offset ? 1 : 0);
  cpu::EmbeddingBagResults results = make_results(bag, bags);
  // What no bag is told of: indices behind the last bag, and the size behind the last one.
  zero(call, *results.offset2bag);
  zero(call, *results.bag_size);
  if (results.out->numel != 0) {
    kernel.launch(call, grid_for(call, results.out->numel), arguments_of(bag, results, bags));
  }
  return results;
}

}  // namespace penstock::cuda_ops
