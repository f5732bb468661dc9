#include "cpu/complex.hpp"
#include "cpu/strided.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"

#include <array>

using namespace penstock;
using penstock::shim::guarded;
using penstock::shim::make_result;
using penstock::shim::refuse_while_probing;

namespace {

AOTITorchError absolute(AtenTensorHandle self, AtenTensorHandle* ret0) {
  return guarded([&] {
    refuse_while_probing();
    const cpu::ResultLayout layout = cpu::like_layout(*self);
    auto out = make_result(cpu::absolute_type(self->dtype), layout.sizes, layout.strides);
    cpu::absolute(*out, *self);
    *ret0 = out.release();
  });
}

AOTITorchError angle(AtenTensorHandle self, AtenTensorHandle* ret0) {
  return guarded([&] {
    refuse_while_probing();
    const DType dtype = cpu::angle_type(self->dtype);
    const bool is_complex = self->dtype == DType::Complex64 || self->dtype == DType::Complex128;
    // PyTorch keeps the order of dimensions for real elements only.
    const cpu::ResultLayout layout =
        is_complex ? cpu::contiguous_layout({self->sizes().begin(), self->sizes().end()})
                   : cpu::like_layout(*self);
    auto out = make_result(dtype, layout.sizes, layout.strides);
    cpu::angle(*out, *self);
    *ret0 = out.release();
  });
}

AOTITorchError polar(AtenTensorHandle abs, AtenTensorHandle angle, AtenTensorHandle* ret0) {
  return guarded([&] {
    refuse_while_probing();
    const cpu::Dims sizes = cpu::broadcast_sizes(abs->sizes(), angle->sizes());
    const cpu::Dims strides = cpu::elementwise_strides(
        sizes, {cpu::broadcast_strides(*abs, sizes), cpu::broadcast_strides(*angle, sizes)});
    auto out = make_result(cpu::complex_type(abs->dtype), sizes, strides);
    cpu::polar(*out, *abs, *angle);
    *ret0 = out.release();
  });
}

/// Makes the result of an operator of two tensors, and has `work` fill it.
template <class Work>
AtenTensorHandle combine(const tensor::TensorObject& self, const tensor::TensorObject& other, Work&& work) {
  refuse_while_probing();
  const cpu::Dims sizes = cpu::broadcast_sizes(self.sizes(), other.sizes());
  const cpu::Dims strides = cpu::elementwise_strides(
      sizes, {cpu::broadcast_strides(self, sizes), cpu::broadcast_strides(other, sizes)});
  auto out = make_result(cpu::arithmetic_type(self, other), sizes, strides);
  work(*out);
  return out.release();
}

AOTITorchError mul_tensor(AtenTensorHandle self, AtenTensorHandle other, AtenTensorHandle* ret0) {
  return guarded([&] {
    *ret0 = combine(*self, *other, [&](tensor::TensorObject& out) { cpu::multiply(out, *self, *other); });
  });
}

AOTITorchError add_tensor(AtenTensorHandle self, AtenTensorHandle other, double alpha,
                          AtenTensorHandle* ret0) {
  return guarded([&] {
    *ret0 = combine(*self, *other, [&](tensor::TensorObject& out) { cpu::add(out, *self, *other, alpha); });
  });
}

/// The same memory, with pairs of elements as one.
AOTITorchError view_as_complex(AtenTensorHandle self, AtenTensorHandle* ret0) {
  return guarded([&] {
    const DType dtype = cpu::complex_type(self->dtype);
    const auto last = static_cast<std::size_t>(self->rank) - 1;
    if (self->rank == 0) {
      base::fail(ErrorCode::InvalidArgument, "Input tensor must have one or more dimensions");
    }
    if (self->size[last] != 2) {
      base::fail(ErrorCode::InvalidArgument, "Tensor must have a last dimension of size 2");
    }
    if (self->stride[last] != 1) {
      base::fail(ErrorCode::InvalidArgument, "Tensor must have a last dimension with stride 1");
    }
    if (self->storage_offset % 2 != 0) {
      base::fail(ErrorCode::InvalidArgument, "Tensor must have a storage_offset divisible by 2");
    }
    cpu::Dims strides(self->strides().begin(), self->strides().end() - 1);
    for (auto& stride : strides) {
      if (stride % 2 != 0) {
        base::fail(ErrorCode::InvalidArgument,
                   "Tensor must have a stride divisible by 2 for all but last dimension");
      }
      stride /= 2;
    }
    *ret0 = tensor::make_tensor(self->storage,
                                {dtype, self->sizes().first(last), strides, self->storage_offset / 2});
  });
}

AOTITorchError view_as_real(AtenTensorHandle self, AtenTensorHandle* ret0) {
  return guarded([&] {
    const DType dtype = cpu::real_part_type(self->dtype);
    cpu::Dims sizes(self->sizes().begin(), self->sizes().end());
    cpu::Dims strides(self->strides().begin(), self->strides().end());
    for (auto& stride : strides) stride *= 2;
    sizes.push_back(2);
    strides.push_back(1);
    *ret0 = tensor::make_tensor(self->storage, {dtype, sizes, strides, self->storage_offset * 2});
  });
}

}  // namespace

namespace penstock::shim {

std::span<const TableEntry> complex_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_abs", &absolute),
      entry("aoti_torch_cpu_angle", &angle),
      entry("aoti_torch_cpu_polar", &polar),
      entry("aoti_torch_cpu_mul_Tensor", &mul_tensor),
      entry("aoti_torch_cpu_add_Tensor", &add_tensor),
      entry("aoti_torch_cpu_view_as_complex", &view_as_complex),
      entry("aoti_torch_cpu_view_as_real", &view_as_real),
  };
  return kTable;
}

}  // namespace penstock::shim
