#include "cuda_ops/operands.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <numeric>

namespace penstock::cuda_ops {
namespace {

static_assert(static_cast<int>(kernels::Element::UInt64) == static_cast<int>(DType::UInt64));
static_assert(static_cast<int>(kernels::Element::BFloat16) == static_cast<int>(DType::BFloat16));
static_assert(static_cast<int>(kernels::Element::Bool) == static_cast<int>(DType::Bool));
static_assert(static_cast<int>(kernels::Element::Complex128) == static_cast<int>(DType::Complex128));

cuda::DevicePointer pointer(const void* data) { return reinterpret_cast<cuda::DevicePointer>(data); }

tensor::Storage* allocate(const shim::CudaCall& call, std::int64_t count, std::size_t element_bytes) {
  const auto bytes = static_cast<std::size_t>(std::max<std::int64_t>(count, 1)) * element_bytes;
  return call.pool->allocate(bytes);
}

/// Dimensions of more than one element, in the order in which they are walked.
std::vector<std::size_t> walked_dims(DimsView sizes, std::span<const DimsView> strides, Order order) {
  std::vector<std::size_t> dims;
  for (std::size_t dim = 0; dim < sizes.size(); ++dim) {
    if (sizes[dim] != 1) dims.push_back(dim);
  }
  if (order == Order::RowMajor) return dims;
  std::ranges::stable_sort(dims, [&](std::size_t a, std::size_t b) {
    for (const DimsView each : strides) {
      if (each[a] != each[b]) return each[a] > each[b];
    }
    return false;
  });
  return dims;
}

}  // namespace

void check_device(std::string_view name, const tensor::TensorObject& tensor) {
  if (tensor.storage == nullptr) base::fail(ErrorCode::InvalidArgument, "{} of an undefined tensor", name);
  if (tensor.storage->device.type == DeviceType::Cuda) return;
  base::fail(ErrorCode::InvalidArgument, "{} on a GPU of a tensor that is on {}", name,
             to_string(tensor.storage->device));
}

kernels::Element element_of(std::string_view name, DType dtype) {
  switch (dtype) {
    case DType::UInt8:
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64:
    case DType::Float16:
    case DType::Float32:
    case DType::Float64:
    case DType::Complex64:
    case DType::Complex128:
    case DType::Bool:
    case DType::BFloat16:
    case DType::UInt16:
    case DType::UInt32:
    case DType::UInt64: return static_cast<kernels::Element>(dtype);
    default: base::fail(ErrorCode::Unsupported, "{} is not implemented for {}", name, dtype_name(dtype));
  }
}

bool is_integer(DType dtype) noexcept {
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

bool is_complex(DType dtype) noexcept { return dtype == DType::Complex64 || dtype == DType::Complex128; }

std::span<const DType> number_dtypes() noexcept {
  static constexpr std::array kDtypes{DType::Float32,  DType::Float64, DType::Float16,
                                      DType::BFloat16, DType::UInt8,   DType::Int8,
                                      DType::Int16,    DType::Int32,   DType::Int64};
  return kDtypes;
}

std::span<const DType> float_dtypes() noexcept { return number_dtypes().first(4); }

void check_dtype(std::string_view name, DType dtype, std::span<const DType> dtypes) {
  if (std::ranges::find(dtypes, dtype) != dtypes.end()) return;
  base::fail(ErrorCode::Unsupported, "{} is not implemented for {}", name, dtype_name(dtype));
}

Temporary::Temporary(const shim::CudaCall& call, std::int64_t count, std::size_t element_bytes)
    : storage_(allocate(call, count, element_bytes)) {}

std::int64_t count_of(DimsView sizes) noexcept {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

void fill_walk(DimsView sizes, std::span<const DimsView> strides, Order order, int& rank, kernels::Dims& size,
               std::span<kernels::Dims> walk_strides) {
  std::size_t made = 0;
  for (const std::size_t dim : walked_dims(sizes, strides, order)) {
    bool joins = made > 0;
    for (std::size_t i = 0; joins && i < strides.size(); ++i) {
      joins = walk_strides[i][made - 1] == strides[i][dim] * sizes[dim];
    }
    if (joins) {
      size[made - 1] *= sizes[dim];
    } else if (made == size.size()) {
      base::fail(ErrorCode::Unsupported, "tensors of sizes {} on a GPU; at most {} dimensions are possible",
                 tensor::sizes_text(sizes), size.size());
    } else {
      size[made++] = sizes[dim];
    }
    for (std::size_t i = 0; i < strides.size(); ++i) walk_strides[i][made - 1] = strides[i][dim];
  }
  rank = static_cast<int>(made);
}

Grid grid_of_blocks(const shim::CudaCall& call, std::int64_t count, unsigned threads) {
  Grid grid = grid_for(call, count, 1);
  grid.threads = threads;
  return grid;
}

void read_numbers(const shim::CudaCall& call, const std::int64_t* from, std::span<std::int64_t> to,
                  const char* function) {
  call.read_by_host = function;
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Copy, "cuMemcpyDtoHAsync", call.stream);
  }
  const cuda::Driver& driver = cuda::driver();
  cuda::check(driver.memcpy_dtoh_async(to.data(), pointer(from), to.size_bytes(), call.stream),
              "cuMemcpyDtoHAsync", function);
  cuda::check(driver.stream_synchronize(call.stream), "cuStreamSynchronize", function);
}

void clear(const shim::CudaCall& call, void* data, std::size_t bytes) {
  if (bytes == 0) return;
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Fill, "cuMemsetD8Async", call.stream);
  }
  cuda::check(cuda::driver().memset_d8_async(pointer(data), 0, bytes, call.stream), "cuMemsetD8Async",
              "memory of an operator");
}

}  // namespace penstock::cuda_ops
