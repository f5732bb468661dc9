#include "cpu/copy.hpp"
#include "cpu/mask.hpp"
#include "cpu/scan.hpp"
#include "cpu/search.hpp"
#include "cpu/sort.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"

#include <array>
#include <cmath>

// Scans, sorting, searching, and what has to look at values before it can make its result.
namespace penstock::shim {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

bool is_integer(DType dtype) {
  switch (dtype) {
    case DType::Bool:
    case DType::UInt8:
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64:
    case DType::UInt16:
    case DType::UInt32:
    case DType::UInt64: return true;
    default: return false;
  }
}

using Scan = void (*)(const TensorObject& out, const TensorObject& self, std::int64_t dim);

template <Scan kScan>
AOTITorchError sum_scan(AtenTensorHandle self, std::int64_t dim, std::int32_t* dtype, AtenTensorHandle* ret) {
  return guarded([&] {
    refuse_while_probing();
    const DType made_of = is_integer(self->dtype) ? DType::Int64 : self->dtype;
    TensorObjectPtr made = make_result(dtype != nullptr ? checked_dtype(*dtype) : made_of, self->sizes());
    kScan(*made, *self, dim);
    *ret = made.release();
  });
}

AOTITorchError logcumsumexp(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_result(self->dtype, self->sizes());
    cpu::logcumsumexp(*made, *self, dim);
    *ret = made.release();
  });
}

/// Values and indices of one operator.
struct MadePair {
  TensorObjectPtr values;
  TensorObjectPtr indices;

  MadePair(DType dtype, std::span<const std::int64_t> sizes)
      : values(make_result(dtype, sizes)), indices(make_result(DType::Int64, sizes)) {}
  MadePair(DType dtype, const cpu::ResultLayout& layout)
      : values(make_result(dtype, layout.sizes, layout.strides)),
        indices(make_result(DType::Int64, layout.sizes, layout.strides)) {}

  [[nodiscard]] cpu::Found found() const { return {*values, *indices}; }
  void release(AtenTensorHandle* first, AtenTensorHandle* second) {
    *first = values.release();
    *second = indices.release();
  }
};

using ExtremeScan = void (*)(cpu::Found out, const TensorObject& self, std::int64_t dim);

template <ExtremeScan kScan>
AOTITorchError extreme_scan(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle* values,
                            AtenTensorHandle* indices) {
  return guarded([&] {
    MadePair made(self->dtype, self->sizes());
    kScan(made.found(), *self, dim);
    made.release(values, indices);
  });
}

AOTITorchError sort(AtenTensorHandle self, std::int64_t dim, std::int32_t descending,
                    AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    MadePair made(self->dtype, cpu::like_layout(*self));
    cpu::sort(operator_memory(), made.found(), *self, {.dim = dim, .descending = descending != 0});
    made.release(values, indices);
  });
}

/// Sorting is always stable.
AOTITorchError sort_stable(AtenTensorHandle self, std::int32_t*, std::int64_t dim, std::int32_t descending,
                           AtenTensorHandle* values, AtenTensorHandle* indices) {
  return sort(self, dim, descending, values, indices);
}

AOTITorchError topk(AtenTensorHandle self, std::int64_t k, std::int64_t dim, std::int32_t largest,
                    std::int32_t sorted, AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    const cpu::TopK options{.k = k, .dim = dim, .largest = largest != 0, .sorted = sorted != 0};
    MadePair made(self->dtype, cpu::topk_sizes(*self, options));
    cpu::topk(operator_memory(), made.found(), *self, options);
    made.release(values, indices);
  });
}

AOTITorchError kthvalue(AtenTensorHandle self, std::int64_t k, std::int64_t dim, std::int32_t keepdim,
                        AtenTensorHandle* values, AtenTensorHandle* indices) {
  return guarded([&] {
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    cpu::Dims sizes = cpu::without_dim(*self, along);
    MadePair made(self->dtype, sizes);
    cpu::kthvalue(operator_memory(), made.found(), *self, k, dim);
    if (keepdim == 0 && !sizes.empty()) {
      sizes.erase(sizes.begin() + static_cast<std::ptrdiff_t>(along));
      made.values = reshaped(*made.values, sizes);
      made.indices = reshaped(*made.indices, sizes);
    }
    made.release(values, indices);
  });
}

using Reduction = void (*)(tensor::Allocator* pool, const TensorObject& out, const TensorObject& self);

template <Reduction kReduction>
AOTITorchError to_scalar(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_result(self->dtype, {});
    kReduction(operator_memory(), *made, *self);
    *ret = made.release();
  });
}

AOTITorchError nonzero(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    refuse_while_probing();
    const cpu::ResultLayout layout = cpu::nonzero_layout(*self, cpu::count_nonzero(*self));
    TensorObjectPtr made = make_result(DType::Int64, layout.sizes, layout.strides);
    cpu::nonzero(*made, *self, 0);
    *ret = made.release();
  });
}

AOTITorchError nonzero_static(AtenTensorHandle self, std::int64_t size, std::int64_t fill_value,
                              AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_result(DType::Int64, std::array{size, std::int64_t{self->rank}});
    cpu::nonzero(*made, *self, fill_value);
    *ret = made.release();
  });
}

AOTITorchError masked_select(AtenTensorHandle self, AtenTensorHandle mask, AtenTensorHandle* ret) {
  return guarded([&] {
    refuse_while_probing();
    TensorObjectPtr made = make_result(self->dtype, std::array{cpu::count_selected(*self, *mask)});
    cpu::masked_select(*made, *self, *mask);
    *ret = made.release();
  });
}

AOTITorchError repeat_interleave(AtenTensorHandle repeats, std::int64_t* output_size, AtenTensorHandle* ret) {
  return guarded([&] {
    refuse_while_probing();
    const std::int64_t count = cpu::count_repeats(*repeats);
    if (output_size != nullptr && *output_size != count) {
      base::fail(ErrorCode::InvalidArgument,
                 "repeat_interleave: allocated size {} does not match required size {}", *output_size, count);
    }
    TensorObjectPtr made = make_result(repeats->dtype, std::array{count});
    cpu::repeat_interleave(*made, *repeats);
    *ret = made.release();
  });
}

/// The options of one search.
struct Search {
  bool int32 = false;
  bool right = false;
  const TensorObject* sorter = nullptr;

  [[nodiscard]] AtenTensorHandle run(const TensorObject& sequence, const TensorObject& values) const {
    TensorObjectPtr made = make_result(int32 ? DType::Int32 : DType::Int64, values.sizes());
    cpu::searchsorted(operator_memory(), *made, sequence, values, {.right = right, .sorter = sorter});
    return made.release();
  }
};

AOTITorchError searchsorted(AtenTensorHandle sequence, AtenTensorHandle self, std::int32_t out_int32,
                            std::int32_t right, const char** side, AtenTensorHandle* sorter,
                            AtenTensorHandle* ret) {
  return guarded([&] {
    const Search search{out_int32 != 0, cpu::is_right_side(right != 0, side != nullptr ? *side : nullptr),
                        sorter != nullptr ? *sorter : nullptr};
    *ret = search.run(*sequence, *self);
  });
}

/// The dtype of a number that is looked for: that of the sequence, but for a fraction among integers. What
/// int64 holds is compared in it: beyond 2^53 doubles do not tell neighbors apart.
DType number_type(DType sequence, double value) {
  if (!is_integer(sequence)) return sequence;
  const bool is_whole = value >= -0x1p63 && value < 0x1p63 && value == std::trunc(value);
  return is_whole ? DType::Int64 : DType::Float64;
}

AOTITorchError searchsorted_scalar(AtenTensorHandle sequence, double value, std::int32_t out_int32,
                                   std::int32_t right, const char** side, AtenTensorHandle* sorter,
                                   AtenTensorHandle* ret) {
  return guarded([&] {
    const Search search{out_int32 != 0, cpu::is_right_side(right != 0, side != nullptr ? *side : nullptr),
                        sorter != nullptr ? *sorter : nullptr};
    const TensorObjectPtr one = make_result(number_type(sequence->dtype, value), {});
    cpu::fill(*one, value);
    *ret = search.run(*sequence, *one);
  });
}

AOTITorchError bucketize(AtenTensorHandle self, AtenTensorHandle boundaries, std::int32_t out_int32,
                         std::int32_t right, AtenTensorHandle* ret) {
  return guarded([&] {
    if (boundaries->rank != 1) {
      base::fail(ErrorCode::InvalidArgument, "boundaries tensor must be 1 dimension, but got dim({})",
                 boundaries->rank);
    }
    *ret = Search{out_int32 != 0, right != 0, nullptr}.run(*boundaries, *self);
  });
}

}  // namespace

std::span<const TableEntry> order_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_cumsum", &sum_scan<&cpu::cumsum>),
      entry("aoti_torch_cpu_cumprod", &sum_scan<&cpu::cumprod>),
      entry("aoti_torch_cpu_logcumsumexp", &logcumsumexp),
      entry("aoti_torch_cpu_cummax", &extreme_scan<&cpu::cummax>),
      entry("aoti_torch_cpu_cummin", &extreme_scan<&cpu::cummin>),
      entry("aoti_torch_cpu_sort", &sort),
      entry("aoti_torch_cpu_sort_stable", &sort_stable),
      entry("aoti_torch_cpu_topk", &topk),
      entry("aoti_torch_cpu_kthvalue", &kthvalue),
      entry("aoti_torch_cpu_median", &to_scalar<&cpu::median>),
      entry("aoti_torch_cpu_nanmedian", &to_scalar<&cpu::nanmedian>),
      entry("aoti_torch_cpu_nonzero", &nonzero),
      entry("aoti_torch_cpu_nonzero_static", &nonzero_static),
      entry("aoti_torch_cpu_masked_select", &masked_select),
      entry("aoti_torch_cpu_repeat_interleave_Tensor", &repeat_interleave),
      entry("aoti_torch_cpu_searchsorted_Tensor", &searchsorted),
      entry("aoti_torch_cpu_searchsorted_Scalar", &searchsorted_scalar),
      entry("aoti_torch_cpu_bucketize_Tensor", &bucketize),
  };
  return kTable;
}

}  // namespace penstock::shim
