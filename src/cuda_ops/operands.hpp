#pragma once

#include "cpu/strided.hpp"
#include "cuda_ops/kernels.hpp"
#include "cuda_ops/kernels/arguments.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/storage.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

// How operators hand tensors to kernels.
namespace penstock::cuda_ops {

using DimsView = std::span<const std::int64_t>;

/// Errors: InvalidArgument for an undefined tensor or one that does not lie on a CUDA device.
void check_device(std::string_view name, const tensor::TensorObject& tensor);

/// The dtype as kernels know it. Errors: Unsupported names the operator and the dtype.
kernels::Element element_of(std::string_view name, DType dtype);

/// True for bool and integers, but not for uint16, uint32 and uint64 where `numbers_only`.
bool is_integer(DType dtype) noexcept;
bool is_complex(DType dtype) noexcept;

/// Errors: Unsupported names the operator, for a dtype that is none of `dtypes`.
void check_dtype(std::string_view name, DType dtype, std::span<const DType> dtypes);

/// The dtypes that nearly every operator of PyTorch takes: integers but the wide unsigned ones, and floats.
std::span<const DType> number_dtypes() noexcept;
std::span<const DType> float_dtypes() noexcept;

/// Device memory for one operator, given back for the stream's later work at the end of the scope.
class Temporary {
 public:
  /// Errors: OutOfMemory.
  Temporary(const shim::CudaCall& call, std::int64_t count, std::size_t element_bytes);

  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return static_cast<T*>(storage_->data);
  }
  [[nodiscard]] void* data() const noexcept { return storage_->data; }

 private:
  struct Drop {
    void operator()(tensor::Storage* storage) const noexcept { storage->drop(); }
  };
  std::unique_ptr<tensor::Storage, Drop> storage_;
};

/// In which order a kernel may walk.
enum class Order { RowMajor, Any };

/// Fills `walk`, which has room for `tensors` strides: dimensions of one element are left out, those that lie
/// one in the other are joined, and where any order will do, the first tensor's largest strides come first.
/// Errors: Unsupported where more dimensions are left than kernels have room for.
void fill_walk(DimsView sizes, std::span<const DimsView> strides, Order order, int& rank, kernels::Dims& size,
               std::span<kernels::Dims> walk_strides);

std::int64_t count_of(DimsView sizes) noexcept;

template <std::size_t kTensors>
kernels::Walk<static_cast<int>(kTensors)> make_walk(DimsView sizes,
                                                    const std::array<DimsView, kTensors>& strides,
                                                    Order order = Order::Any) {
  kernels::Walk<static_cast<int>(kTensors)> walk{};
  walk.count = count_of(sizes);
  fill_walk(sizes, strides, order, walk.rank, walk.size, walk.stride);
  return walk;
}

inline kernels::Walk<1> make_walk(const tensor::TensorObject& tensor, Order order = Order::Any) {
  return make_walk<1>(tensor.sizes(), {tensor.strides()}, order);
}

/// The rows along `dim` of tensors of equal sizes but for that dimension; the first one's length counts.
template <std::size_t kTensors>
kernels::Rows<static_cast<int>(kTensors)> make_rows(
    const std::array<const tensor::TensorObject*, kTensors>& tensors, std::size_t dim) {
  kernels::Rows<static_cast<int>(kTensors)> rows{};
  std::array<DimsView, kTensors> strides;
  for (std::size_t i = 0; i < kTensors; ++i) {
    strides[i] = tensors[i]->strides();
    rows.step[i] = cpu::lane_of(*tensors[i], dim).stride;
  }
  rows.starts = make_walk<kTensors>(cpu::without_dim(*tensors[0], dim), strides);
  rows.length = cpu::lane_of(*tensors[0], dim).size;
  return rows;
}

/// A number that kernels store as any dtype.
inline kernels::FillValue fill_value(double value) { return {.real = value, .integer = 0, .is_integer = 0}; }
inline kernels::FillValue fill_value(std::int64_t value) {
  return {.real = static_cast<double>(value), .integer = value, .is_integer = 1};
}

/// A launch of one block for each of `count` pieces of work, of which a block may do several.
Grid grid_of_blocks(const shim::CudaCall& call, std::int64_t count, unsigned threads);

/// Waits for the call's stream and gives `count` numbers that were written there. What the caller does next
/// depends on them: the run is marked as one that cannot be recorded, by `function`.
void read_numbers(const shim::CudaCall& call, const std::int64_t* from, std::span<std::int64_t> to,
                  const char* function);

/// Sets bytes of device memory to 0.
void clear(const shim::CudaCall& call, void* data, std::size_t bytes);

}  // namespace penstock::cuda_ops
