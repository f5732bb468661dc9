#include "cuda_ops/index.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/pick.hpp"

#include <algorithm>

namespace penstock::cuda_ops {
namespace {

using tensor::TensorObject;

void add_places(IndexPlan& plan, const TensorObject& self, const TensorObject& index, std::size_t dim) {
  check_device("index", index);
  plan.columns.push_back({dim,
                          cpu::Dims(index.sizes().begin(), index.sizes().end()),
                          cpu::Dims(index.strides().begin(), index.strides().end()),
                          {}});
  plan.arguments.push_back({.places = index.data,
                            .is_wide = index.dtype == DType::Int64 ? 1 : 0,
                            .size = self.size[dim],
                            .stride = self.stride[dim],
                            .strides = {}});
}

/// One column a dimension of the mask: the places where it is true.
void add_mask(const shim::CudaCall& call, IndexPlan& plan, const TensorObject& self, const TensorObject& mask,
              std::size_t dim, const char* function) {
  check_device("index", mask);
  const TensorObject& found = *plan.masks.emplace_back(nonzero(call, mask, function));
  for (std::size_t i = 0; i < static_cast<std::size_t>(mask.rank); ++i) {
    plan.columns.push_back({dim + i, {found.size[0]}, {1}, {}});
    const auto* const places = reinterpret_cast<const std::int64_t*>(found.data);
    plan.arguments.push_back({.places = places + static_cast<std::int64_t>(i) * found.stride[1],
                              .is_wide = 1,
                              .size = self.size[dim + i],
                              .stride = self.stride[dim + i],
                              .strides = {}});
  }
}

/// Walks over the plan's result with the strides of `other` in there.
kernels::Indexed arguments_of(const IndexPlan& plan, const TensorObject& self, const TensorObject& other,
                              DimsView other_strides) {
  kernels::Indexed of{.self = self.data,
                      .other = other.data,
                      .dtype = element_of("index", self.dtype),
                      .columns = static_cast<int>(plan.columns.size()),
                      .column = {},
                      .walk = {}};
  // The columns' strides are joined with those of the tensors.
  std::vector<cpu::Dims> strides{cpu::Dims(other_strides.begin(), other_strides.end()),
                                 plan.shape.self_strides};
  for (const cpu::IndexColumn& column : plan.columns) {
    cpu::Dims& whole = strides.emplace_back(plan.shape.result.sizes.size());
    std::ranges::copy(cpu::broadcast_index(column.sizes, column.strides, plan.shape.index_sizes),
                      whole.begin() + static_cast<std::ptrdiff_t>(plan.shape.first));
  }
  const std::vector<DimsView> views(strides.begin(), strides.end());
  std::vector<kernels::Dims> walked(views.size());
  of.walk.count = count_of(plan.shape.result.sizes);
  fill_walk(plan.shape.result.sizes, views, Order::Any, of.walk.rank, of.walk.size, walked);
  of.walk.stride = {walked[0], walked[1]};
  for (std::size_t i = 0; i < plan.arguments.size(); ++i) {
    of.column[i] = plan.arguments[i];
    of.column[i].strides = walked[i + 2];
  }
  return of;
}

const Kernel& kernel_of(std::size_t bytes, const Kernel (&kernels)[5]) {
  switch (bytes) {
    case 1: return kernels[0];
    case 2: return kernels[1];
    case 4: return kernels[2];
    case 8: return kernels[3];
    default: return kernels[4];
  }
}

}  // namespace

IndexPlan plan_index(const shim::CudaCall& call, const TensorObject& self, cpu::IndexTensors indices,
                     const char* function) {
  check_device("index", self);
  IndexPlan plan;
  cpu::for_each_index(
      self, indices, [&](const TensorObject& index, std::size_t dim) { add_places(plan, self, index, dim); },
      [&](const TensorObject& mask, std::size_t dim) { add_mask(call, plan, self, mask, dim, function); });
  if (plan.columns.size() > kernels::kMostIndices) {
    base::fail(ErrorCode::Unsupported, "index on a GPU by {} tensors; at most {} are possible",
               plan.columns.size(), kernels::kMostIndices);
  }
  plan.shape = cpu::index_shape(self, plan.columns);
  return plan;
}

void index(const shim::CudaCall& call, const TensorObject& out, const TensorObject& self,
           const IndexPlan& plan) {
  static constexpr Kernel kGathers[5]{{kIndexImage, "penstock_index_1"},
                                      {kIndexImage, "penstock_index_2"},
                                      {kIndexImage, "penstock_index_4"},
                                      {kIndexImage, "penstock_index_8"},
                                      {kIndexImage, "penstock_index_16"}};
  if (out.numel == 0) return;
  kernel_of(element_bytes(self.dtype), kGathers)
      .launch(call, grid_for(call, out.numel), arguments_of(plan, self, out, out.strides()));
}

void index_put(const shim::CudaCall& call, const TensorObject& self, const IndexPlan& plan,
               const TensorObject& values, bool accumulates) {
  static constexpr Kernel kAdd(kIndexImage, "penstock_index_add");
  static constexpr Kernel kPuts[5]{{kIndexImage, "penstock_index_put_1"},
                                   {kIndexImage, "penstock_index_put_2"},
                                   {kIndexImage, "penstock_index_put_4"},
                                   {kIndexImage, "penstock_index_put_8"},
                                   {kIndexImage, "penstock_index_put_16"}};
  check_device("index_put", values);
  const cpu::Dims strides = cpu::index_put_strides(self, plan.shape.result.sizes, values);
  const std::int64_t count = count_of(plan.shape.result.sizes);
  if (count == 0) return;
  const Kernel& kernel = accumulates ? kAdd : kernel_of(element_bytes(self.dtype), kPuts);
  kernel.launch(call, grid_for(call, count), arguments_of(plan, self, values, strides));
}

}  // namespace penstock::cuda_ops
