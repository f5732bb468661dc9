#include "cpu/cat.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "cpu/promotion.hpp"
#include "cpu/strided.hpp"

#include <algorithm>
#include <optional>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

bool is_channels_last(const TensorObject& tensor) {
  return (tensor.rank == 4 || tensor.rank == 5) && suggests_channels_last(tensor.sizes(), tensor.strides());
}

}  // namespace

bool is_left_out(const TensorObject& tensor) noexcept { return tensor.rank == 1 && tensor.size[0] == 0; }

CatResult cat_result(TensorList tensors, std::int64_t dim) {
  if (tensors.empty())
    base::fail(ErrorCode::InvalidArgument, "torch.cat(): expected a non-empty list of Tensors");
  const TensorObject* model = nullptr;
  std::optional<DType> dtype;
  bool is_last = true;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i]->rank == 0) {
      base::fail(ErrorCode::InvalidArgument,
                 "zero-dimensional tensor (at position {}) cannot be concatenated", i);
    }
    dtype = dtype ? promote(*dtype, tensors[i]->dtype) : tensors[i]->dtype;
    is_last = is_last && is_channels_last(*tensors[i]);
    if (model == nullptr && !is_left_out(*tensors[i])) model = tensors[i];
  }
  if (model == nullptr) return {*dtype, contiguous_layout({0})};
  const std::size_t along = wrap_dim(dim, model->rank);
  Dims sizes(model->sizes().begin(), model->sizes().end());
  sizes[along] = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const TensorObject& tensor = *tensors[i];
    if (is_left_out(tensor)) continue;
    if (tensor.rank != model->rank) {
      base::fail(ErrorCode::InvalidArgument, "Tensors must have same number of dimensions: got {} and {}",
                 model->rank, tensor.rank);
    }
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      if (k == along || tensor.size[k] == sizes[k]) continue;
      base::fail(ErrorCode::InvalidArgument,
                 "Sizes of tensors must match except in dimension {}. Expected size {} but got size {} for "
                 "tensor number {} in the list.",
                 along, sizes[k], tensor.size[k], i);
    }
    const auto sum = base::checked_add(sizes[along], tensor.size[along]);
    if (!sum) base::fail(ErrorCode::InvalidArgument, "cat: the result's size overflows");
    sizes[along] = *sum;
  }
  CatResult result{*dtype, contiguous_layout(sizes)};
  if (is_last) fill_channels_last_strides(result.layout.sizes, result.layout.strides);
  return result;
}

}  // namespace penstock::cpu
