#include "base/fail.hpp"
#include "cpu/search.hpp"
#include "cpu/sort.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/pick.hpp"
#include "cuda_ops/scan.hpp"
#include "cuda_ops/search.hpp"
#include "cuda_ops/sort.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

#include <array>

// Scans, sorting, searching, and what has to look at values before it can make its result.
namespace penstock::cuda_ops {
namespace {

using shim::make_cuda_result;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

/// The operand of a scan in the dtype of its result; a copy where it has to be converted.
struct Converted {
  Converted(const shim::CudaCall& call, const TensorObject& self, DType dtype) : self_(self) {
    // Integers of any size count up to the same bits.
    const bool fits = self.dtype == dtype || (is_integer(self.dtype) && is_integer(dtype));
    if (fits) return;
    copy_ = make_cuda_result(dtype, self.sizes());
    copy(call, *copy_, self);
  }
  [[nodiscard]] const TensorObject& tensor() const { return copy_ != nullptr ? *copy_ : self_; }

 private:
  const TensorObject& self_;
  TensorObjectPtr copy_;
};

template <ScanKind kKind>
AOTITorchError sum_scan(AtenTensorHandle self, std::int64_t dim, std::int32_t* dtype, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_device("a scan", *self);
    const DType made_of = is_integer(self->dtype) ? DType::Int64 : self->dtype;
    const DType wanted = dtype != nullptr ? shim::checked_dtype(*dtype) : made_of;
    if (!is_complex(wanted)) check_dtype("a scan", wanted, number_dtypes());
    TensorObjectPtr made = make_cuda_result(wanted, self->sizes());
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    const Converted operand(call, *self, wanted);
    scan(call, kKind, {.self = operand.tensor(), .out = *made, .dim = along});
    *ret = made.release();
  });
}

AOTITorchError logcumsumexp(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_device("logcumsumexp", *self);
    check_dtype("logcumsumexp", self->dtype, float_dtypes());
    TensorObjectPtr made = make_cuda_result(self->dtype, self->sizes());
    scan(call, ScanKind::LogSum, {.self = *self, .out = *made, .dim = cpu::wrap_dim(dim, self->rank)});
    *ret = made.release();
  });
}

/// Values and indices of one operator.
struct MadePair {
  TensorObjectPtr values;
  TensorObjectPtr indices;

  MadePair(DType dtype, std::span<const std::int64_t> sizes)
      : values(make_cuda_result(dtype, sizes)), indices(make_cuda_result(DType::Int64, sizes)) {}
  MadePair(DType dtype, const cpu::ResultLayout& layout)
      : values(make_cuda_result(dtype, layout.sizes, layout.strides)),
        indices(make_cuda_result(DType::Int64, layout.sizes, layout.strides)) {}

  void release(AtenTensorHandle* first, AtenTensorHandle* second) {
    *first = values.release();
    *second = indices.release();
  }
};

template <ScanKind kKind>
AOTITorchError extreme_scan(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle* values,
                            AtenTensorHandle* indices) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_device("a scan", *self);
    if (self->dtype != DType::Bool) check_dtype("a scan", self->dtype, number_dtypes());
    MadePair made(self->dtype, self->sizes());
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    scan(call, kKind, {.self = *self, .out = *made.values, .indices = made.indices.get(), .dim = along});
    made.release(values, indices);
  });
}

void check_sortable(const char* name, const TensorObject& self) {
  check_device(name, self);
  if (is_complex(self.dtype))
    base::fail(ErrorCode::Unsupported, "{} is not implemented for complex numbers", name);
}

AOTITorchError sort(AtenTensorHandle self, std::int64_t dim, std::int32_t descending,
                    AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_sortable("sort", *self);
    MadePair made(self->dtype, cpu::like_layout(*self));
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    sort_rows(call, {*self, *made.values, *made.indices, along},
              {.descending = descending != 0, .first = 0, .kept = cpu::lane_of(*self, along).size});
    made.release(values, indices);
  });
}

/// Sorting is always stable.
AOTITorchError sort_stable(AtenTensorHandle self, std::int32_t*, std::int64_t dim, std::int32_t descending,
                           AtenTensorHandle* values, AtenTensorHandle* indices) {
  return sort(self, dim, descending, values, indices);
}

/// Always sorted. Of equal elements the first are taken.
AOTITorchError topk(AtenTensorHandle self, std::int64_t k, std::int64_t dim, std::int32_t largest,
                    std::int32_t, AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_sortable("topk", *self);
    check_dtype("topk", self->dtype, number_dtypes());
    const cpu::TopK options{.k = k, .dim = dim, .largest = largest != 0, .sorted = true};
    MadePair made(self->dtype, cpu::topk_sizes(*self, options));
    // A scalar is its own one element, also where none is asked for.
    const SortedPart part{.descending = largest != 0, .first = 0, .kept = self->rank == 0 ? 1 : k};
    sort_rows(call, {*self, *made.values, *made.indices, cpu::wrap_dim(dim, self->rank)}, part);
    made.release(values, indices);
  });
}

/// The same memory without a dimension of size 1.
TensorObjectPtr without(const TensorObject& tensor, std::size_t dim) {
  cpu::Dims sizes(tensor.sizes().begin(), tensor.sizes().end());
  cpu::Dims strides(tensor.strides().begin(), tensor.strides().end());
  sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(dim));
  strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(dim));
  return TensorObjectPtr(tensor::make_tensor(
      tensor.storage,
      {.dtype = tensor.dtype, .sizes = sizes, .strides = strides, .storage_offset = tensor.storage_offset}));
}

AOTITorchError kthvalue(AtenTensorHandle self, std::int64_t k, std::int64_t dim, std::int32_t keepdim,
                        AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_sortable("kthvalue", *self);
    check_dtype("kthvalue", self->dtype, number_dtypes());
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    cpu::check_kth(*self, k, along);
    MadePair made(self->dtype, cpu::without_dim(*self, along));
    sort_rows(call, {*self, *made.values, *made.indices, along},
              {.descending = false, .first = k - 1, .kept = 1});
    if (keepdim == 0 && self->rank > 0) {
      made.values = without(*made.values, along);
      made.indices = without(*made.indices, along);
    }
    made.release(values, indices);
  });
}

template <bool kSkipsNan>
AOTITorchError median(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_sortable("median", *self);
    check_dtype("median", self->dtype, number_dtypes());
    TensorObjectPtr made = make_cuda_result(self->dtype, {});
    const TensorObjectPtr dense = make_cuda_result(self->dtype, self->sizes());
    copy(call, *dense, *self);
    find_median(call, *made, *dense, kSkipsNan);
    *ret = made.release();
  });
}

AOTITorchError nonzero_places(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_device("nonzero", *self);
    *ret = nonzero(call, *self, "nonzero").release();
  });
}

AOTITorchError nonzero_static(AtenTensorHandle self, std::int64_t size, std::int64_t fill_value_of,
                              AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    check_device("nonzero_static", *self);
    TensorObjectPtr made = make_cuda_result(DType::Int64, std::array{size, std::int64_t{self->rank}});
    fill(call, *made, fill_value(fill_value_of));
    write_places(call, *made, Picked(call, *self), self->sizes());
    *ret = made.release();
  });
}

AOTITorchError repeat_interleave(AtenTensorHandle repeats, std::int64_t* output_size, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    *ret = repeated_places(call, *repeats, output_size).release();
  });
}

/// The options of one search.
struct SearchCall {
  bool int32 = false;
  cpu::SearchOptions options;

  [[nodiscard]] AtenTensorHandle run(const TensorObject& sequence, const TensorObject& values) const {
    const shim::CudaCall& call = shim::cuda_call();
    TensorObjectPtr made = make_cuda_result(int32 ? DType::Int32 : DType::Int64, values.sizes());
    searchsorted(call, *made, sequence, values, options);
    return made.release();
  }
};

AOTITorchError searchsorted_tensor(AtenTensorHandle sequence, AtenTensorHandle self, std::int32_t out_int32,
                                   std::int32_t right, const char** side, AtenTensorHandle* sorter,
                                   AtenTensorHandle* ret) {
  return guarded([&] {
    const bool is_right = cpu::is_right_side(right != 0, side != nullptr ? *side : nullptr);
    *ret =
        SearchCall{out_int32 != 0, {is_right, sorter != nullptr ? *sorter : nullptr}}.run(*sequence, *self);
  });
}

AOTITorchError searchsorted_scalar(AtenTensorHandle sequence, double value, std::int32_t out_int32,
                                   std::int32_t right, const char** side, AtenTensorHandle* sorter,
                                   AtenTensorHandle* ret) {
  return guarded([&] {
    const bool is_right = cpu::is_right_side(right != 0, side != nullptr ? *side : nullptr);
    // A number takes the dtype of what it is compared with, but for a fraction among integers.
    const DType dtype = is_integer(sequence->dtype) ? DType::Float64 : sequence->dtype;
    const TensorObjectPtr one = make_cuda_result(dtype, {});
    fill(shim::cuda_call(), *one, fill_value(value));
    *ret = SearchCall{out_int32 != 0, {is_right, sorter != nullptr ? *sorter : nullptr}}.run(*sequence, *one);
  });
}

AOTITorchError bucketize(AtenTensorHandle self, AtenTensorHandle boundaries, std::int32_t out_int32,
                         std::int32_t right, AtenTensorHandle* ret) {
  return guarded([&] {
    if (boundaries->rank != 1) {
      base::fail(ErrorCode::InvalidArgument, "boundaries tensor must be 1 dimension, but got dim({})",
                 boundaries->rank);
    }
    *ret = SearchCall{out_int32 != 0, {right != 0, nullptr}}.run(*boundaries, *self);
  });
}

constexpr Needs kOfScans{.images = {&kScanImage}};
constexpr Needs kOfSorts{.images = {&kSortImage}};
constexpr Needs kOfPicks{.images = {&kPickImage}};
constexpr Needs kOfRepeats{.images = {&kPickImage, &kScanImage}};
constexpr Needs kOfSearches{.images = {&kSearchImage}};

}  // namespace

std::span<const Operator> order_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_cumsum", &sum_scan<ScanKind::Sum>, kOfScans),
      entry("aoti_torch_cuda_cumprod", &sum_scan<ScanKind::Product>, kOfScans),
      entry("aoti_torch_cuda_logcumsumexp", &logcumsumexp, kOfScans),
      entry("aoti_torch_cuda_cummax", &extreme_scan<ScanKind::Largest>, kOfScans),
      entry("aoti_torch_cuda_cummin", &extreme_scan<ScanKind::Smallest>, kOfScans),
      entry("aoti_torch_cuda_sort", &sort, kOfSorts),
      entry("aoti_torch_cuda_sort_stable", &sort_stable, kOfSorts),
      entry("aoti_torch_cuda_topk", &topk, kOfSorts),
      entry("aoti_torch_cuda_kthvalue", &kthvalue, kOfSorts),
      entry("aoti_torch_cuda_median", &median<false>, kOfSorts),
      entry("aoti_torch_cuda_nanmedian", &median<true>, kOfSorts),
      entry("aoti_torch_cuda_nonzero", &nonzero_places, kOfPicks),
      entry("aoti_torch_cuda_nonzero_static", &nonzero_static, kOfPicks),
      entry("aoti_torch_cuda_repeat_interleave_Tensor", &repeat_interleave, kOfRepeats),
      entry("aoti_torch_cuda_searchsorted_Tensor", &searchsorted_tensor, kOfSearches),
      entry("aoti_torch_cuda_searchsorted_Scalar", &searchsorted_scalar, kOfSearches),
      entry("aoti_torch_cuda_bucketize_Tensor", &bucketize, kOfSearches),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
