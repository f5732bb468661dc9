#include "cpu/cat.hpp"
#include "cpu/copy.hpp"
#include "cpu/index.hpp"
#include "cpu/mask.hpp"
#include "cpu/scatter.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/cuda_forward.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <string_view>

// Reading and writing elements at places that tensors name, and joining tensors.
namespace penstock::shim {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

using IndexList = cpu::DimList<const TensorObject*>;

/// Indices as generated operators have them: a pointer to a handle each, null for none.
IndexList index_list(const AtenTensorHandle** indices, std::int64_t count) {
  IndexList list;
  for (const AtenTensorHandle* index : checked_list(indices, count)) {
    list.push_back(index != nullptr ? *index : nullptr);
  }
  return list;
}

/// A copy of `self` to change, with the strides that torch.clone gives it.
TensorObjectPtr clone(const TensorObject& self) {
  const cpu::ResultLayout layout = cpu::like_layout(self);
  TensorObjectPtr made = make_result(self.dtype, layout.sizes, layout.strides);
  cpu::copy(*made, self);
  return made;
}

/// Fills the `out` of an operator with `self`, where the caller has not given the same tensor for both.
void start_from(const TensorObject& out, const TensorObject& self) {
  refuse_while_probing();
  cpu::check_same_sizes("out", out, self.sizes());
  if (out.dtype != self.dtype) {
    base::fail(ErrorCode::InvalidArgument, "an out of dtype {} where self is {}", dtype_name(out.dtype),
               dtype_name(self.dtype));
  }
  if (out.data == self.data && std::ranges::equal(out.strides(), self.strides())) return;
  cpu::copy(out, self);
}

AOTITorchError index(AtenTensorHandle self, const AtenTensorHandle** indices, std::int64_t count,
                     AtenTensorHandle* ret) {
  return guarded([&] {
    const cpu::IndexPlan plan = cpu::plan_index(operator_memory(), *self, index_list(indices, count));
    TensorObjectPtr made = make_result(self->dtype, plan.shape.result.sizes, plan.shape.result.strides);
    cpu::index(*made, *self, plan);
    *ret = made.release();
  });
}

AOTITorchError index_put(AtenTensorHandle self, const AtenTensorHandle** indices, std::int64_t count,
                         AtenTensorHandle values, std::int32_t accumulate, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = clone(*self);
    const IndexList list = index_list(indices, count);
    cpu::index_put(*made, cpu::plan_index(operator_memory(), *made, list), *values, accumulate != 0);
    *ret = made.release();
  });
}

AOTITorchError index_put_out(AtenTensorHandle out, AtenTensorHandle self, const AtenTensorHandle* indices,
                             const std::uint32_t count, const AtenTensorHandle values, bool accumulate) {
  if (is_on_cuda(*out)) {
    return call_on_cuda("aoti_torch_index_put_out", out, self, indices, count, values, accumulate);
  }
  return guarded([&] {
    start_from(*out, *self);
    const auto given = checked_list(indices, count);
    const IndexList list(given.begin(), given.end());
    cpu::index_put(*out, cpu::plan_index(operator_memory(), *out, list), *values, accumulate);
  });
}

AOTITorchError scatter_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                           AtenTensorHandle index, AtenTensorHandle source) {
  if (is_on_cuda(*out)) return call_on_cuda("aoti_torch_scatter_out", out, self, dim, index, source);
  return guarded([&] {
    start_from(*out, *self);
    cpu::scatter(*out, {dim, *index}, *source);
  });
}

AOTITorchError scatter_value_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                                 AtenTensorHandle index, double value) {
  return guarded([&] {
    start_from(*out, *self);
    cpu::scatter_value(*out, {dim, *index}, value);
  });
}

AOTITorchError scatter_reduce_out(AtenTensorHandle out, AtenTensorHandle self, std::int64_t dim,
                                  AtenTensorHandle index, AtenTensorHandle source, const char* reduce,
                                  std::int32_t include_self) {
  if (is_on_cuda(*out)) {
    return call_on_cuda("aoti_torch_scatter_reduce_out", out, self, dim, index, source, reduce, include_self);
  }
  return guarded([&] {
    const cpu::ReduceOptions options{cpu::reduce_kind(reduce), include_self != 0};
    start_from(*out, *self);
    cpu::scatter_reduce(operator_memory(), *out, {dim, *index}, *source, options);
  });
}

AOTITorchError index_reduce(AtenTensorHandle self, std::int64_t dim, AtenTensorHandle index,
                            AtenTensorHandle source, const char* reduce, std::int32_t include_self,
                            AtenTensorHandle* ret) {
  return guarded([&] {
    if (std::string_view(reduce) == "sum") {
      base::fail(ErrorCode::InvalidArgument,
                 "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got sum.");
    }
    const cpu::ReduceOptions options{cpu::reduce_kind(reduce), include_self != 0};
    TensorObjectPtr made = make_result(self->dtype, self->sizes());
    cpu::copy(*made, *self);
    cpu::index_reduce(operator_memory(), *made, {dim, *index}, *source, options);
    *ret = made.release();
  });
}

AOTITorchError masked_scatter(AtenTensorHandle self, AtenTensorHandle mask, AtenTensorHandle source,
                              AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_result(self->dtype, cpu::broadcast_sizes(self->sizes(), mask->sizes()));
    cpu::copy(*made, *self);
    cpu::masked_scatter(operator_memory(), *made, *mask, *source);
    *ret = made.release();
  });
}

AOTITorchError cat(const AtenTensorHandle* tensors, std::int64_t count, std::int64_t dim,
                   AtenTensorHandle* ret) {
  return guarded([&] {
    const cpu::TensorList list = checked_list(tensors, count);
    const cpu::CatResult result = cpu::cat_result(list, dim);
    TensorObjectPtr made = make_result(result.dtype, result.layout.sizes, result.layout.strides);
    cpu::cat(*made, list, dim);
    *ret = made.release();
  });
}

}  // namespace

std::span<const TableEntry> indexing_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_index_Tensor", &index),
      entry("aoti_torch_cpu_index_put", &index_put),
      entry("aoti_torch_index_put_out", &index_put_out),
      entry("aoti_torch_scatter_out", &scatter_out),
      entry("aoti_torch_cpu_scatter_src_out", &scatter_out),
      entry("aoti_torch_cpu_scatter_value_out", &scatter_value_out),
      entry("aoti_torch_scatter_reduce_out", &scatter_reduce_out),
      entry("aoti_torch_cpu_scatter_reduce_two_out", &scatter_reduce_out),
      entry("aoti_torch_cpu_index_reduce", &index_reduce),
      entry("aoti_torch_cpu_masked_scatter", &masked_scatter),
      entry("aoti_torch_cpu_cat", &cat),
  };
  return kTable;
}

}  // namespace penstock::shim
