#include "cpu/copy.hpp"
#include "cpu/strided.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/cuda_call.hpp"
#include "shim/cuda_forward.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"
#include "tensor/layout.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <optional>

// Other views of the memory of a tensor, and tensors of one value.
namespace penstock::shim {
namespace {

using base::fail;
using cpu::Dims;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

/// What a view changes; it begins as the tensor itself.
struct View {
  explicit View(const TensorObject& tensor)
      : self(tensor),
        dtype(tensor.dtype),
        sizes(tensor.sizes().begin(), tensor.sizes().end()),
        strides(tensor.strides().begin(), tensor.strides().end()),
        offset(tensor.storage_offset) {
    refuse_while_probing();
    if (tensor.storage == nullptr) fail(ErrorCode::InvalidArgument, "a view of an undefined tensor");
  }

  [[nodiscard]] AtenTensorHandle make() const {
    return tensor::make_tensor(
        self.storage, {.dtype = dtype, .sizes = sizes, .strides = strides, .storage_offset = offset});
  }

  const TensorObject& self;
  DType dtype;
  Dims sizes;
  Dims strides;
  std::int64_t offset;
};

std::size_t dim_of(const TensorObject& self, std::int64_t dim, const char* what) {
  if (self.rank == 0) fail(ErrorCode::InvalidArgument, "{} of a scalar", what);
  return cpu::wrap_dim(dim, self.rank);
}

AOTITorchError narrow(AtenTensorHandle self, std::int64_t dim, std::int64_t start, std::int64_t length,
                      AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    const std::size_t along = dim_of(*self, dim, "narrow()");
    const std::int64_t size = view.sizes[along];
    if (length < 0) fail(ErrorCode::InvalidArgument, "narrow(): length must be non-negative.");
    if (start < -size || start > size) {
      fail(ErrorCode::InvalidArgument, "start out of range (expected to be in range of [{}, {}], but got {})",
           -size, size, start);
    }
    const std::int64_t first = start < 0 ? start + size : start;
    if (length > size - first) {
      fail(ErrorCode::InvalidArgument, "start ({}) + length ({}) exceeds dimension size ({}).", first, length,
           size);
    }
    view.sizes[along] = length;
    view.offset += first * view.strides[along];
    *ret = view.make();
  });
}

AOTITorchError slice(AtenTensorHandle self, std::int64_t dim, std::int64_t* start, std::int64_t* end,
                     std::int64_t step, AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    const std::size_t along = dim_of(*self, dim, "slice()");
    if (step <= 0) fail(ErrorCode::InvalidArgument, "slice step must be positive");
    const std::int64_t size = view.sizes[along];
    const auto place = [size](const std::int64_t* given, std::int64_t absent) {
      if (given == nullptr) return absent;
      return std::clamp<std::int64_t>(*given < 0 ? *given + size : *given, 0, size);
    };
    const std::int64_t first = place(start, 0);
    const std::int64_t last = std::max(first, place(end, size));
    view.offset += first * view.strides[along];
    view.sizes[along] = (last - first) / step + ((last - first) % step != 0 ? 1 : 0);
    // Where nothing or one element is left, the step leads nowhere.
    view.strides[along] = base::checked_mul(view.strides[along], step).value_or(view.strides[along]);
    *ret = view.make();
  });
}

AOTITorchError permute(AtenTensorHandle self, const std::int64_t* dims, std::int64_t count,
                       AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    const auto order = checked_span(dims, count);
    if (count != self->rank) {
      fail(ErrorCode::InvalidArgument,
           "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the "
           "desired ordering of dimensions i.e. input.dim() = {} is not equal to len(dims) = {}",
           self->rank, count);
    }
    std::array<bool, tensor::kRoomForDims> seen{};
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::size_t dim = cpu::wrap_dim(order[i], self->rank);
      if (seen[dim]) fail(ErrorCode::InvalidArgument, "permute(): duplicate dims are not allowed.");
      seen[dim] = true;
      view.sizes[i] = self->size[dim];
      view.strides[i] = self->stride[dim];
    }
    *ret = view.make();
  });
}

AOTITorchError squeeze_dim(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    const std::size_t along = cpu::wrap_dim(dim, self->rank);
    if (self->rank > 0 && view.sizes[along] == 1) {
      view.sizes.erase(view.sizes.begin() + static_cast<std::ptrdiff_t>(along));
      view.strides.erase(view.strides.begin() + static_cast<std::ptrdiff_t>(along));
    }
    *ret = view.make();
  });
}

/// The sizes that `shape` asks for, with -1 worked out. Errors: InvalidArgument in PyTorch's words.
Dims reshaped_sizes(const TensorObject& self, std::span<const std::int64_t> shape) {
  Dims sizes(shape.begin(), shape.end());
  const auto unknown = std::ranges::find(sizes, -1);
  if (unknown != sizes.end()) {
    if (std::count(unknown, sizes.end(), -1) > 1) {
      fail(ErrorCode::InvalidArgument, "only one dimension can be inferred");
    }
    *unknown = 1;
    const auto known = tensor::checked_numel(sizes);
    if (known && *known != 0 && self.numel % *known == 0) {
      *unknown = self.numel / *known;
    } else {
      *unknown = -1;
    }
  }
  if (tensor::checked_numel(sizes) != self.numel) {
    fail(ErrorCode::InvalidArgument, "shape '{}' is invalid for input of size {}", tensor::sizes_text(shape),
         self.numel);
  }
  return sizes;
}

/// Strides with which the elements of `self` have `sizes` in their row-major order; nothing where they
/// would have to be copied.
std::optional<Dims> reshaped_strides(const TensorObject& self, const Dims& sizes) {
  Dims strides(sizes.size());
  if (self.numel == 0) {
    tensor::fill_contiguous_strides(sizes, strides);
    return strides;
  }
  // From the last on: a run of self's dimensions that lie one in the other is cut up anew.
  std::int64_t stride = self.rank > 0 ? self.stride[static_cast<std::size_t>(self.rank - 1)] : 1;
  std::int64_t run = 1;
  std::int64_t made = 1;
  std::size_t next = sizes.size();
  for (std::size_t dim = static_cast<std::size_t>(self.rank); dim-- > 0;) {
    run *= self.size[dim];
    const bool ends = dim == 0 || (self.size[dim - 1] != 1 && self.stride[dim - 1] != run * stride);
    if (!ends) continue;
    while (next > 0 && (made < run || sizes[next - 1] == 1)) {
      --next;
      strides[next] = made * stride;
      made *= sizes[next];
    }
    if (made != run) return std::nullopt;
    if (dim > 0) {
      stride = self.stride[dim - 1];
      run = 1;
      made = 1;
    }
  }
  while (next > 0) strides[--next] = made * stride;
  return strides;
}

AOTITorchError reshape(AtenTensorHandle self, const std::int64_t* shape, std::int64_t count,
                       AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    view.sizes = reshaped_sizes(*self, checked_span(shape, count));
    if (auto strides = reshaped_strides(*self, view.sizes)) {
      view.strides = *strides;
      *ret = view.make();
      return;
    }
    const bool on_cuda = is_on_cuda(*self);
    const TensorObjectPtr dense =
        on_cuda ? make_cuda_result(self->dtype, self->sizes()) : make_result(self->dtype, self->sizes());
    if (on_cuda) {
      copy_with_cuda(*dense, *self);
    } else {
      cpu::copy(*dense, *self);
    }
    *ret = reshaped(*dense, view.sizes).release();
  });
}

/// Errors: InvalidArgument where a stride that nothing is read by would overflow.
std::int64_t scaled(std::int64_t stride, std::int64_t factor) {
  const auto result = base::checked_mul(stride, factor);
  if (!result) fail(ErrorCode::InvalidArgument, "a view with a stride of {} times {}", stride, factor);
  return *result;
}

/// Sizes, strides and offset in elements that are `factor` times as small. Errors: InvalidArgument.
void split_elements(View& view, std::int64_t factor) {
  if (view.sizes.empty() || view.strides.back() != 1) {
    fail(ErrorCode::InvalidArgument,
         "self.stride(-1) must be 1 to view {} as a smaller dtype, on a tensor of at least one dimension",
         dtype_name(view.self.dtype));
  }
  for (std::size_t i = 0; i + 1 < view.sizes.size(); ++i) view.strides[i] = scaled(view.strides[i], factor);
  view.sizes.back() = scaled(view.sizes.back(), factor);
  view.offset = scaled(view.offset, factor);
}

void join_elements(View& view, std::int64_t factor) {
  bool fits = !view.sizes.empty() && view.strides.back() == 1 && view.sizes.back() % factor == 0 &&
              view.offset % factor == 0;
  for (std::size_t i = 0; fits && i + 1 < view.sizes.size(); ++i) {
    fits = view.strides[i] % factor == 0;
    view.strides[i] /= factor;
  }
  if (!fits) {
    fail(ErrorCode::InvalidArgument,
         "a view of {} with larger elements: the last dimension, the strides and the offset have to be "
         "divisible by {}",
         dtype_name(view.self.dtype), factor);
  }
  view.sizes.back() /= factor;
  view.offset /= factor;
}

AOTITorchError view_dtype(AtenTensorHandle self, std::int32_t dtype, AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    view.dtype = checked_dtype(dtype);
    const auto from = static_cast<std::int64_t>(element_bytes(self->dtype));
    const auto to = static_cast<std::int64_t>(element_bytes(view.dtype));
    if (from > to) split_elements(view, from / to);
    if (from < to) join_elements(view, to / from);
    *ret = view.make();
  });
}

AOTITorchError view_as_real(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    if (self->dtype != DType::Complex64 && self->dtype != DType::Complex128) {
      fail(ErrorCode::InvalidArgument, "view_as_real is only supported for complex tensors");
    }
    view.dtype = self->dtype == DType::Complex64 ? DType::Float32 : DType::Float64;
    for (std::int64_t& stride : view.strides) stride = scaled(stride, 2);
    view.sizes.push_back(2);
    view.strides.push_back(1);
    view.offset = scaled(view.offset, 2);
    *ret = view.make();
  });
}

AOTITorchError view_as_complex(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    View view(*self);
    if (self->dtype != DType::Float32 && self->dtype != DType::Float64) {
      fail(ErrorCode::InvalidArgument,
           "view_as_complex is only supported for floating point tensors, but got {}",
           dtype_name(self->dtype));
    }
    if (view.sizes.empty() || view.sizes.back() != 2) {
      fail(ErrorCode::InvalidArgument, "Tensor must have a last dimension of size 2");
    }
    view.dtype = self->dtype == DType::Float32 ? DType::Complex64 : DType::Complex128;
    join_elements(view, 2);
    view.sizes.resize(view.sizes.size() - 1);
    view.strides.resize(view.strides.size() - 1);
    *ret = view.make();
  });
}

/// A new tensor by the options that a model library gives. Others (layout, pinned memory) are of no meaning.
struct NewTensor {
  const std::int64_t* size;
  std::int64_t count;
  const std::int32_t* dtype;   ///< Null: `absent_dtype`.
  const std::int32_t* device;  ///< Null: `absent_device`.
  DType absent_dtype;
  DeviceType absent_device;

  [[nodiscard]] TensorObjectPtr make() const {
    const auto wanted = device != nullptr ? *device : static_cast<std::int32_t>(absent_device);
    const DType wanted_dtype = dtype != nullptr ? checked_dtype(*dtype) : absent_dtype;
    const auto sizes = checked_span(size, count);
    if (wanted == static_cast<std::int32_t>(DeviceType::Cpu)) return make_result(wanted_dtype, sizes);
    const CallContext* const context = current_context();
    const bool on_cuda = context != nullptr && context->cuda != nullptr;
    if (!on_cuda || wanted != static_cast<std::int32_t>(DeviceType::Cuda)) {
      fail(ErrorCode::Unsupported, "the model asks for memory on PyTorch's device type {} in a run on the {}",
           wanted, on_cuda ? "GPU" : "CPU");
    }
    return make_cuda_result(wanted_dtype, sizes);
  }
};

AOTITorchError fill_scalar(AtenTensorHandle self, double value) {
  if (is_on_cuda(*self)) return call_on_cuda("aoti_torch_cuda_fill__Scalar", self, value);
  return guarded([&] {
    refuse_while_probing();
    cpu::fill(*self, value);
  });
}

AOTITorchError full(const std::int64_t* size, std::int64_t count, double value, std::int32_t* dtype,
                    std::int32_t*, std::int32_t* device, std::int32_t, std::int32_t*, AtenTensorHandle* ret) {
  TensorObjectPtr made;
  const AOTITorchError code =
      guarded([&] { made = NewTensor{size, count, dtype, device, DType::Float32, DeviceType::Cpu}.make(); });
  if (code != 0 || fill_scalar(made.get(), value) != 0) return 1;
  *ret = made.release();
  return 0;
}

AOTITorchError new_empty(AtenTensorHandle self, const std::int64_t* size, std::int64_t count,
                         std::int32_t* dtype, std::int32_t*, std::int32_t* device, std::int32_t,
                         std::int32_t*, AtenTensorHandle* ret) {
  return guarded([&] {
    const DeviceType here = is_on_cuda(*self) ? DeviceType::Cuda : DeviceType::Cpu;
    *ret = NewTensor{size, count, dtype, device, self->dtype, here}.make().release();
  });
}

AOTITorchError new_zeros(AtenTensorHandle self, const std::int64_t* size, std::int64_t count,
                         std::int32_t* dtype, std::int32_t*, std::int32_t* device, std::int32_t,
                         std::int32_t*, AtenTensorHandle* ret) {
  return guarded([&] {
    const DeviceType here = is_on_cuda(*self) ? DeviceType::Cuda : DeviceType::Cpu;
    TensorObjectPtr made = NewTensor{size, count, dtype, device, self->dtype, here}.make();
    if (is_on_cuda(*made)) {
      zero_on_cuda(*made);
    } else {
      cpu::fill(*made, 0);
    }
    *ret = made.release();
  });
}

}  // namespace

std::span<const TableEntry> view_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_narrow", &narrow),
      entry("aoti_torch_aten_narrow", &narrow),
      entry("aoti_torch_cpu_slice_Tensor", &slice),
      entry("aoti_torch_cpu_permute", &permute),
      entry("aoti_torch_cpu_squeeze_dim", &squeeze_dim),
      entry("aoti_torch_cpu_reshape", &reshape),
      entry("aoti_torch_cpu_view_dtype", &view_dtype),
      entry("aoti_torch_cpu_view_as_real", &view_as_real),
      entry("aoti_torch_cpu_view_as_complex", &view_as_complex),
      entry("aoti_torch_cuda_narrow", &narrow),
      entry("aoti_torch_cuda_slice_Tensor", &slice),
      entry("aoti_torch_cuda_permute", &permute),
      entry("aoti_torch_cuda_squeeze_dim", &squeeze_dim),
      entry("aoti_torch_cuda_reshape", &reshape),
      entry("aoti_torch_cuda_view_dtype", &view_dtype),
      entry("aoti_torch_cuda_view_as_real", &view_as_real),
      entry("aoti_torch_cuda_view_as_complex", &view_as_complex),
      entry("aoti_torch_aten_full", &full),
      entry("aoti_torch_aten_new_empty", &new_empty),
      entry("aoti_torch_aten_new_zeros", &new_zeros),
      entry("aoti_torch_aten_fill__Scalar", &fill_scalar),
      entry("aoti_torch_cpu_fill__Scalar", &fill_scalar),
  };
  return kTable;
}

}  // namespace penstock::shim
