#include "base/fail.hpp"
#include "cpu/cat.hpp"
#include "cpu/scatter.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/index.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/pick.hpp"
#include "cuda_ops/scatter.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

// Reading and writing elements at places that tensors name, and joining tensors.
namespace penstock::cuda_ops {
namespace {

using shim::checked_list;
using shim::make_cuda_result;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

using IndexList = std::vector<const TensorObject*>;

/// Indices as generated operators have them: a pointer to a handle each, null for none.
IndexList index_list(const AtenTensorHandle** indices, std::int64_t count) {
  IndexList list;
  for (const AtenTensorHandle* index : checked_list(indices, count)) {
    list.push_back(index != nullptr ? *index : nullptr);
  }
  return list;
}

/// A copy of `self` to change, with the strides that torch.clone gives it.
TensorObjectPtr clone(const shim::CudaCall& call, const TensorObject& self) {
  const cpu::ResultLayout layout = cpu::like_layout(self);
  TensorObjectPtr made = make_cuda_result(self.dtype, layout.sizes, layout.strides);
  copy(call, *made, self);
  return made;
}

/// Fills the `out` of an operator with `self`, where the caller has not given the same tensor for both.
void start_from(const shim::CudaCall& call, const TensorObject& out, const TensorObject& self) {
  cpu::check_same_sizes("out", out, self.sizes());
  if (out.dtype != self.dtype) {
    base::fail(ErrorCode::InvalidArgument, "an out of dtype {} where self is {}", dtype_name(out.dtype),
               dtype_name(self.dtype));
  }
  if (out.data == self.data && std::ranges::equal(out.strides(), self.strides())) return;
  copy(call, out, self);
}

AOTITorchError index_tensor(AtenTensorHandle self, const AtenTensorHandle** indices, std::int64_t count,
                            AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    const IndexPlan plan = plan_index(call, *self, index_list(indices, count), "index");
    TensorObjectPtr made = make_cuda_result(self->dtype, plan.shape.result.sizes, plan.shape.result.strides);
    index(call, *made, *self, plan);
    *ret = made.release();
  });
}

AOTITorchError index_put_new(AtenTensorHandle self, const AtenTensorHandle** indices, std::int64_t count,
                             AtenTensorHandle values, std::int32_t accumulate, AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    TensorObjectPtr made = clone(call, *self);
    const IndexPlan plan = plan_index(call, *made, index_list(indices, count), "index_put");
    index_put(call, *made, plan, *values, accumulate != 0);
    *ret = made.release();
  });
}

AOTITorchError index_put_out(AtenTensorHandle out, AtenTensorHandle self, const AtenTensorHandle* indices,
                             const std::uint32_t count, const AtenTensorHandle values, bool accumulate) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    start_from(call, *out, *self);
    const auto given = checked_list(indices, count);
    const IndexList list(given.begin(), given.end());
    index_put(call, *out, plan_index(call, *out, list, "index_put"), *values, accumulate);
  });
}

AOTITorchError scatter_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                           AtenTensorHandle index, AtenTensorHandle source) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    start_from(call, *out, *self);
    scatter(call, *out, {dim, *index}, *source);
  });
}

AOTITorchError scatter_value_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                                 AtenTensorHandle index, double value) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    start_from(call, *out, *self);
    scatter_value(call, *out, {dim, *index}, value);
  });
}

AOTITorchError scatter_reduce_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                                  AtenTensorHandle index, AtenTensorHandle source, const char* reduce,
                                  std::int32_t include_self) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    const cpu::ReduceOptions options{cpu::reduce_kind(reduce), include_self != 0};
    start_from(call, *out, *self);
    scatter_reduce(call, *out, {dim, *index}, *source, options);
  });
}

AOTITorchError index_reduce_new(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle index,
                                AtenTensorHandle source, const char* reduce, std::int32_t include_self,
                                AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    if (std::string_view(reduce) == "sum") {
      base::fail(ErrorCode::InvalidArgument,
                 "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got sum.");
    }
    const cpu::ReduceOptions options{cpu::reduce_kind(reduce), include_self != 0};
    TensorObjectPtr made = make_cuda_result(self->dtype, self->sizes());
    copy(call, *made, *self);
    index_reduce(call, *made, {dim, *index}, *source, options);
    *ret = made.release();
  });
}

AOTITorchError masked_select_new(AtenTensorHandle self, AtenTensorHandle mask, AtenTensorHandle* ret) {
  return guarded([&] { *ret = masked_select(shim::cuda_call(), *self, *mask).release(); });
}

AOTITorchError masked_scatter_new(AtenTensorHandle self, AtenTensorHandle mask, AtenTensorHandle source,
                                  AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    TensorObjectPtr made = make_cuda_result(self->dtype, cpu::broadcast_sizes(self->sizes(), mask->sizes()));
    copy(call, *made, *self);
    masked_scatter(call, *made, *mask, *source);
    *ret = made.release();
  });
}

AOTITorchError cat(const AtenTensorHandle* tensors, std::int64_t count, std::int64_t dim,
                   AtenTensorHandle* ret) {
  return guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    const cpu::TensorList list = checked_list(tensors, count);
    for (const TensorObject* tensor : list) check_device("cat", *tensor);
    const cpu::CatResult result = cpu::cat_result(list, dim);
    TensorObjectPtr made = make_cuda_result(result.dtype, result.layout.sizes, result.layout.strides);
    const std::size_t along = cpu::wrap_dim(dim, made->rank);
    std::int64_t begin = 0;
    for (const TensorObject* tensor : list) {
      if (cpu::is_left_out(*tensor)) continue;
      const TensorObjectPtr part(tensor::make_tensor(
          made->storage, {.dtype = made->dtype,
                          .sizes = tensor->sizes(),
                          .strides = made->strides(),
                          .storage_offset = made->storage_offset + begin * made->stride[along]}));
      copy(call, *part, *tensor);
      begin += tensor->size[along];
    }
    *ret = made.release();
  });
}

AOTITorchError fill_scalar(AtenTensorHandle self, double value) {
  return guarded([&] { fill(shim::cuda_call(), *self, fill_value(value)); });
}

/// Masks among indices are picked out first.
constexpr Needs kOfIndices{.images = {&kIndexImage, &kPickImage}};
constexpr Needs kOfScatters{.images = {&kIndexImage}};
constexpr Needs kOfMasks{.images = {&kPickImage}};

}  // namespace

std::span<const Operator> indexing_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_index_Tensor", &index_tensor, kOfIndices),
      entry("aoti_torch_cuda_index_put", &index_put_new, kOfIndices),
      entry("aoti_torch_index_put_out", &index_put_out, kOfIndices),
      entry("aoti_torch_scatter_out", &scatter_out, kOfScatters),
      entry("aoti_torch_cuda_scatter_src_out", &scatter_out, kOfScatters),
      entry("aoti_torch_cuda_scatter_value_out", &scatter_value_out, kOfScatters),
      entry("aoti_torch_scatter_reduce_out", &scatter_reduce_out, kOfScatters),
      entry("aoti_torch_cuda_scatter_reduce_two_out", &scatter_reduce_out, kOfScatters),
      entry("aoti_torch_cuda_index_reduce", &index_reduce_new, kOfScatters),
      entry("aoti_torch_cuda_masked_select", &masked_select_new, kOfMasks),
      entry("aoti_torch_cuda_masked_scatter", &masked_scatter_new, kOfMasks),
      entry("aoti_torch_cuda_cat", &cat),
      entry("aoti_torch_cuda_fill__Scalar", &fill_scalar),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
