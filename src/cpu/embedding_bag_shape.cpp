#include "cpu/embedding_bag.hpp"

#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <string_view>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;

constexpr std::string_view kName = "embedding_bag";

void check_integers(std::string_view name, const TensorObject& tensor) {
  if (tensor.rank != 1 || (tensor.dtype != DType::Int32 && tensor.dtype != DType::Int64)) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: {} are {}{}; one dimension of int32 or int64 elements is needed", kName, name,
               dtype_name(tensor.dtype), sizes_text(tensor.sizes()));
  }
}

}  // namespace

void check_embedding_bag(const EmbeddingBag& bag) {
  if (bag.weight.rank != 2) {
    base::fail(ErrorCode::InvalidArgument, "{}: 'weight' must be 2-D but has sizes {}", kName,
               sizes_text(bag.weight.sizes()));
  }
  check_integers("indices", bag.indices);
  check_integers("offsets", bag.offsets);
  if (bag.mode != BagMode::Sum && bag.mode != BagMode::Mean && bag.mode != BagMode::Max) {
    base::fail(ErrorCode::InvalidArgument, "{}: `mode` must be sum, mean, or max.", kName);
  }
  if (bag.include_last_offset && bag.offsets.numel == 0) {
    base::fail(ErrorCode::InvalidArgument, "include_last_offset: number of offset should be at least 1");
  }
  if (bag.factors == nullptr) return;
  if (bag.mode != BagMode::Sum) {
    base::fail(ErrorCode::InvalidArgument, "{}: per_sample_weights only supported with mode='sum'", kName);
  }
  if (bag.factors->rank != 1 || bag.factors->numel != bag.indices.numel ||
      bag.factors->dtype != bag.weight.dtype) {
    base::fail(ErrorCode::InvalidArgument, "{}: per_sample_weights are {}{} for {} indices of {} weights",
               kName, dtype_name(bag.factors->dtype), sizes_text(bag.factors->sizes()), bag.indices.numel,
               dtype_name(bag.weight.dtype));
  }
}

}  // namespace penstock::cpu
